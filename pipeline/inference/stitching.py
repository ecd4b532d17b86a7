"""Sliding windows over images whose map of probabilities is too large for 32 bits a value."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from monai.data.utils import compute_importance_map, dense_patch_slices
from monai.inferers import Inferer, SlidingWindowInferer
from monai.utils import convert_to_tensor, ensure_tuple_rep, fall_back_tuple
from torch import Tensor

from pipeline.inference.eight_bits import in_8_bits

MAX_FLOAT_BYTES = 2**30
"""Size up to which the map of an image, labels x pixels x 4 bytes, is kept in 32 bits."""

Network = Callable[..., Tensor]
Window = tuple[slice, ...]


class _TooLargeError(Exception):
    """The map of an image would be larger than :data:`MAX_FLOAT_BYTES`."""


def infer_bounded(
    inferer: Inferer, inputs: Tensor, network: Network, *args: Any, **kwargs: Any
) -> Tensor:
    """Return logits as the inferer does, or, of a large map, probabilities in 8 bits.

    A sliding window keeps a map of more than :data:`MAX_FLOAT_BYTES` on the CPU, in 8 bits; only
    the planes that windows still touch are summed in 32 bits. Other inferers return logits of any
    size.

    Args:
        inferer: how an image is inferred.
        inputs: ``(B, C, *spatial)``.
        network: takes the windows, on the device of the images.
        args: further arguments of the network.
        kwargs: further arguments of the network, by name.

    Returns:
        ``(B, K, *spatial)``, logits, or uint8, of which 255 is the probability 1.
    """

    def sized(windows: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        logits = network(windows, *args, **kwargs)
        if logits.shape[1] * inputs[:, 0].numel() * 4 > MAX_FLOAT_BYTES:
            raise _TooLargeError
        return logits

    if not isinstance(inferer, SlidingWindowInferer):
        output: Tensor = inferer(inputs, network, *args, **kwargs)
        return output
    try:  # the first window shows how many labels there are, before a map is made
        output = inferer(inputs, sized, *args, **kwargs)
    except _TooLargeError:
        images = convert_to_tensor(inputs, track_meta=False)
        maps = [stitch(inferer, image, lambda x: network(x, *args, **kwargs)) for image in images]
        output = maps[0][None] if len(maps) == 1 else torch.stack(maps)
    return output


def stitch(inferer: SlidingWindowInferer, image: Tensor, network: Network) -> Tensor:
    """Return the probabilities of an image in 8 bits, as a sliding window gives them.

    The windows pass along one axis; planes that they have left are finished.

    Args:
        inferer: its windows, their overlap and weights.
        image: ``(C, *spatial)``.
        network: logits of a batch of windows.

    Returns:
        ``(K, *spatial)``, uint8, on the CPU.
    """
    sides = tuple(image.shape[1:])
    padded, inside = _padded(inferer, image)
    roi = fall_back_tuple(inferer.roi_size, padded.shape[1:])
    weights = compute_importance_map(roi, inferer.mode, inferer.sigma_scale, "cpu")
    axis = passing_axis(padded.shape[1:], roi)
    planes = _Planes(weights.movedim(axis, 0), _without(padded.shape[1:], axis))
    output = torch.empty(0, dtype=torch.uint8)
    for window, logits in _outputs(inferer, padded, roi, axis, network):
        if not output.numel():
            output = torch.empty((len(logits), *sides), dtype=torch.uint8)
        _keep(output, axis, inside, planes.finished(window[axis].start))
        planes.add(window[axis].start, _without(window, axis), logits.movedim(1 + axis, 0))
    _keep(output, axis, inside, planes.finished(padded.shape[1 + axis]))
    return output


def passing_axis(sides: Sequence[int], roi: Sequence[int]) -> int:
    """Return the axis along which the planes that a window touches have the fewest pixels.

    Example:
        >>> passing_axis((512, 512, 400), (96, 96, 96)), passing_axis((512, 512, 400), (96, 96, 32))
        (0, 2)
    """
    return min(range(len(sides)), key=lambda axis: roi[axis] / sides[axis])


class _Planes:
    """Planes across an axis to which windows add their logits, in a ring as long as a window.

    The ring is one block of memory, which the system takes back as a whole.

    Args:
        weights: of a window's pixels, the axis first.
        sides: of a plane.
    """

    def __init__(self, weights: Tensor, sides: tuple[int, ...]) -> None:
        self.weights, self.sides = weights, sides
        self.first = 0
        self.sums = torch.empty(0)
        self.counts = torch.zeros(len(weights), *sides)

    def add(self, start: int, place: Window, logits: Tensor) -> None:
        """Add a window that starts at a plane, ``(planes, K, …)``."""
        if not self.sums.numel():
            self.sums = torch.zeros(len(self.weights), logits.shape[1], *self.sides)
        for i, (plane, weight) in enumerate(zip(logits, self.weights, strict=True), start):
            at = i % len(self.weights)
            self.sums[at][(slice(None), *place)].addcmul_(plane, weight)
            self.counts[at][place] += weight

    def finished(self, start: int) -> Iterator[tuple[int, Tensor]]:
        """Take out the planes before the next window, with their probabilities in 8 bits."""
        for i in range(self.first, start):
            total, count = self.sums[i % len(self.weights)], self.counts[i % len(self.weights)]
            yield i, in_8_bits(total.div_(count).sigmoid_())
            total.zero_()
            count.zero_()
        self.first = start


def _keep(output: Tensor, axis: int, inside: Window, planes: Iterable[tuple[int, Tensor]]) -> None:
    """Store finished planes, without what was padded."""
    margin = inside[axis].start
    for i, plane in planes:
        if inside[axis].start <= i < inside[axis].stop:
            place = (slice(None), *_without(inside, axis))
            output.select(1 + axis, i - margin).copy_(plane[place])


def _outputs(
    inferer: SlidingWindowInferer, image: Tensor, roi: Sequence[int], axis: int, network: Network
) -> Iterator[tuple[Window, Tensor]]:
    """Yield the windows in the order of an axis, and their logits on the CPU."""
    sides = tuple(image.shape[1:])
    overlap = ensure_tuple_rep(inferer.overlap, len(sides))
    steps = [
        roi[i] if roi[i] == sides[i] else max(1, int(roi[i] * (1 - overlap[i])))
        for i in range(len(sides))
    ]
    windows = sorted(dense_patch_slices(sides, roi, steps), key=lambda w: w[axis].start)
    device = inferer.sw_device or image.device
    for done in range(0, len(windows), inferer.sw_batch_size):
        batch = windows[done : done + inferer.sw_batch_size]
        pixels = torch.stack([image[(slice(None), *window)] for window in batch])
        yield from zip(batch, network(pixels.to(device)).float().cpu(), strict=True)


def _padded(inferer: SlidingWindowInferer, image: Tensor) -> tuple[Tensor, Window]:
    """Return an image that has a window's size at least, and where in it the image is."""
    sides = tuple(image.shape[1:])
    roi = fall_back_tuple(inferer.roi_size, sides)
    missing = [max(0, wanted - side) for wanted, side in zip(roi, sides, strict=True)]
    before = [m // 2 for m in missing]
    inside = tuple(slice(b, b + side) for b, side in zip(before, sides, strict=True))
    if not any(missing):
        return image, inside
    widths = [w for b, m in zip(before, missing, strict=True) for w in (m - b, b)][::-1]
    mode = str(inferer.padding_mode)
    value = {"value": inferer.cval} if mode == "constant" else {}
    return torch.nn.functional.pad(image[None], widths, mode=mode, **value)[0], inside


def _without(values: Sequence[Any], i: int) -> tuple[Any, ...]:
    return (*values[:i], *values[i + 1 :])
