"""The occlusion test: each region of an image is hidden in turn and the harm is measured."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import torch
from monai.transforms import GaussianSmooth
from torch import Tensor

FILLS = ("noise", "mean", "blur")
"""Contents that can replace a hidden region."""
REGIONS = 100
"""Regions that cover an image where no size is given, 10 x 10 of a square; each costs a pass."""
LARGEST_BATCH = 16
"""Images with a hidden region that pass through the network at a time, at most."""
CPU_PIXELS, GPU_PIXELS = 2**18, 2**22
"""Pixels of a batch: on a CPU a larger one leaves the cache, and an image takes twice as long."""

Harm = Callable[[Tensor], float]
"""Measure of how bad the logits ``(1, K, *spatial)`` of an image with a hidden region are."""


class Occlusion(NamedTuple):
    """Settings of the occlusion test.

    Attributes:
        size: side of the hidden square (cube) in pixels of the network's image; None: it grows with
            the image, so that about ``regions`` of them cover it.
        stride: pixels from one region to the next; None: the size, so that regions tile the image.
        fill: content of the hidden region: ``noise`` (normal, with the image's mean and deviation),
            ``mean`` (the image's mean), or ``blur`` (the image, blurred by a Gaussian with a sigma
            of half the size).
        draws: number of fills to average over; only noise differs between them.
        seed: seed of the noise.
        batch: number of images with a hidden region that pass through the network at a time; None:
            as many as suit their size and the device.
        regions: number of regions that cover an image where no size is given.
    """

    size: int | None = None
    stride: int | None = None
    fill: str = "noise"
    draws: int = 1
    seed: int = 0
    batch: int | None = None
    regions: int = REGIONS


def occlusion_map(
    predict: Callable[[Tensor], Tensor],
    image: Tensor,
    harm: Harm,
    occlusion: Occlusion,
    advance: Callable[[int], None] = lambda regions: None,
) -> Tensor:
    r"""Hide each region of an image in turn and return how much that harms the prediction.

    .. math:: H(r) = h(f(x_r)) - h(f(x))

    where :math:`x_r` is the image :math:`x` with region :math:`r` hidden, :math:`f` the network and
    :math:`h` the harm. With the training loss as harm and noise as fill it is the occlusion test of
    "A look into U-Net" (its section 6.3), which hides each 14 x 14 region of a 512 x 512 image.

    Unlike :class:`monai.visualize.OcclusionSensitivity`, which expects class scores, this function
    takes the whole predicted map, measures it against the truth, and fills with seeded noise.

    Args:
        predict: function from images ``(B, C, *spatial)`` to logits ``(B, K, *spatial)``.
        image: ``(C, *spatial)`` as the network takes it.
        harm: measure of logits ``(1, K, *spatial)``; see :func:`loss_against` and
            :func:`change_from`.
        occlusion: settings of the test.
        advance: called after each batch with its number of regions, to show progress.

    Returns:
        ``spatial``, on the image's device: the mean harm over the regions that hold a pixel.
        Positive where hiding makes the prediction worse.

    Raises:
        ValueError: a region larger than the image, an unknown fill, a size, stride, number of
            draws or batch below one, or a stride that leaves pixels unhidden.

    Example:
        A network that uses one corner alone:

        >>> def corner(images):
        ...     seen = torch.zeros_like(images)
        ...     seen[..., :4, :4] = images[..., :4, :4]
        ...     return seen
        >>> image = torch.arange(64.0).reshape(1, 8, 8)
        >>> harm = change_from(corner(image[None]))
        >>> harm_map = occlusion_map(corner, image, harm, Occlusion(size=4, fill="mean"))
        >>> (harm_map > 0).nonzero().amax(0).tolist(), (harm_map[4:] == 0).all().item()
        ([3, 3], True)
    """
    check_occlusion(occlusion, image.shape[1:])
    regions = list(_regions(image.shape[1:], occlusion))
    total = torch.zeros(image.shape[1:], device=image.device)
    times = torch.zeros_like(total)
    generator = torch.Generator().manual_seed(occlusion.seed)
    draws = occlusion.draws if occlusion.fill == "noise" else 1
    fills = [_filled(image, occlusion, generator) for _ in range(draws)]
    size = occlusion.batch or batch_size(image)
    batches = [regions[start : start + size] for start in range(0, len(regions), size)]
    work = list(itertools.product(fills, batches))
    with torch.inference_mode():
        plain = harm(predict(image[None]))

    def harms_of(job: tuple[Tensor, Sequence[tuple[slice, ...]]]) -> list[float]:
        fill, batch = job
        hidden = image.repeat(len(batch), *(1 for _ in image.shape))
        for version, region in zip(hidden, batch, strict=True):
            version[region] = fill[region]
        with torch.inference_mode():
            return [harm(logits[None]) - plain for logits in predict(hidden)]

    with _workers(image.device) as pool:
        for (_, batch), harms in zip(work, pool.map(harms_of, work), strict=True):
            advance(len(batch))
            for region, value in zip(batch, harms, strict=True):
                total[region[1:]] += value
                times[region[1:]] += 1
    return total / times


def region_size(occlusion: Occlusion, sides: Sequence[int]) -> int:
    """Return the side of the hidden regions of an image, pixels.

    Without a size in the settings about ``occlusion.regions`` squares (cubes) tile the image. An
    axis shorter than their side, as that of a few thick slices, is hidden as a whole.

    Args:
        occlusion: settings of the test.
        sides: of the image, pixels.

    Example:
        >>> region_size(Occlusion(size=7), [512, 512]), region_size(Occlusion(), [512, 512])
        (7, 52)
        >>> region_size(Occlusion(), [512, 512, 3])
        52
    """
    if occlusion.size is not None:
        return occlusion.size
    tiled = sorted(sides)
    while len(tiled) > 1 and tiled[0] < _tile_side(tiled, occlusion.regions):
        tiled = tiled[1:]
    return _tile_side(tiled, occlusion.regions)


def _tile_side(sides: Sequence[int], regions: int) -> int:
    """Return the side of the squares of which so many tile an image."""
    return math.ceil((math.prod(sides) / regions) ** (1 / len(sides)) - 1e-9)


def count_passes(occlusion: Occlusion, sides: Sequence[int]) -> int:
    """Return how many images with a hidden region pass through the network.

    Args:
        occlusion: settings of the test.
        sides: of the image, pixels.

    Example:
        >>> count_passes(Occlusion(size=4, draws=3), [8, 10])
        18
    """
    draws = occlusion.draws if occlusion.fill == "noise" else 1
    return draws * sum(1 for _ in _regions(sides, occlusion))


def batch_size(image: Tensor) -> int:
    """Return the number of images of this size that suit the device at a time.

    Example:
        >>> batch_size(torch.zeros(1, 512, 512)), batch_size(torch.zeros(1, 256, 256))
        (1, 4)
    """
    pixels = CPU_PIXELS if image.device.type == "cpu" else GPU_PIXELS
    return max(1, min(LARGEST_BATCH, pixels // image[0].numel()))


def loss_against(loss: Callable[[Tensor, Tensor], Tensor], truth: Tensor) -> Harm:
    """Return the training loss against the truth as harm.

    Args:
        loss: loss of logits and truth.
        truth: ``(K, *spatial)``.
    """
    return lambda logits: float(loss(logits, truth[None].to(logits)))


def change_from(logits: Tensor) -> Harm:
    """Return the mean change of the probabilities as harm, which needs no truth.

    Args:
        logits: logits of the image with nothing hidden, ``(1, K, *spatial)``.
    """
    plain = logits.float().sigmoid()
    return lambda hidden: float((hidden.float().sigmoid() - plain).abs().mean())


def check_occlusion(occlusion: Occlusion, sides: Sequence[int]) -> None:
    """Refuse an impossible occlusion.

    Raises:
        ValueError: a setting that :func:`occlusion_map` refuses.
    """
    for name in ("size", "stride", "draws", "batch", "regions"):
        value = getattr(occlusion, name)
        if value is not None and value < 1:
            raise ValueError(f"occlusion {name}: found {value}, expected 1 or more")
    if occlusion.fill not in FILLS:
        raise ValueError(
            f"occlusion fill: found '{occlusion.fill}', expected one of {', '.join(FILLS)}"
        )
    size = region_size(occlusion, sides)
    if occlusion.size is not None and size > min(sides):
        raise ValueError(
            f"occlusion size: found {size} pixels for an image of "
            f"{' x '.join(map(str, sides))}; expected at most {min(sides)}"
        )
    if occlusion.stride is not None and occlusion.stride > size:
        raise ValueError(
            f"occlusion stride: found {occlusion.stride}, larger than the size {size}, "
            "which leaves pixels between regions unhidden; expected at most the size"
        )


@contextmanager
def _workers(device: torch.device) -> Iterator[ThreadPoolExecutor]:
    """Start threads that take a batch each, which is faster than all of them on one batch."""
    threads = torch.get_num_threads()
    several = threads if device.type == "cpu" else 1
    try:
        with ThreadPoolExecutor(several, "occlusion", torch.set_num_threads, (1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)


def _regions(sides: Sequence[int], occlusion: Occlusion) -> Iterator[tuple[slice, ...]]:
    """Yield every region, with all channels; the last of each row ends at the border."""
    size = region_size(occlusion, sides)
    stride = occlusion.stride or size
    extents = [min(size, side) for side in sides]
    starts = [
        [*range(0, side - extent, stride), side - extent]  # may overlap at the end
        for side, extent in zip(sides, extents, strict=True)
    ]
    for corner in itertools.product(*starts):
        spans = (slice(start, start + n) for start, n in zip(corner, extents, strict=True))
        yield (slice(None), *spans)


def _filled(image: Tensor, occlusion: Occlusion, generator: torch.Generator) -> Tensor:
    """Return the image that replaces the hidden regions."""
    if occlusion.fill == "noise":
        noise = torch.randn(image.shape, generator=generator).to(image)
        return noise * image.std() + image.mean()
    if occlusion.fill == "mean":
        return image.mean().expand_as(image)
    blurred: Tensor = GaussianSmooth(region_size(occlusion, image.shape[1:]) / 2)(image)
    return blurred
