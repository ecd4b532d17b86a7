"""The strongest activations of an encoder's channels, traced back to the images that cause them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pipeline.explanation.case_explanation import ExplanationPart
from pipeline.explanation.deconvolution import Deconvolution
from pipeline.explanation.encoder_path import EncoderPath, encoder_path
from pipeline.explanation.images import Image
from pipeline.explanation.pictures import Panel, as_grey, panels

CHANNELS, IMAGES = 3, 4
"""Channels of each level that are traced, and images of each channel."""
TILE_PIXELS = 112


class Activation(NamedTuple):
    """The strongest activation of a channel in one image.

    Attributes:
        level: name of the level.
        channel: number of the channel.
        image: number of the image.
        place: its place in the level's map.
        value: its value.
    """

    level: str
    channel: int
    image: int
    place: tuple[int, ...]
    value: float


def strongest(
    maps: Sequence[Tensor], level: str, channels: int = CHANNELS, images: int = IMAGES
) -> list[list[Activation]]:
    """Return the strongest activations of the channels that reach the largest values.

    As in Figure 2 of Zeiler and Fergus (2013): of each channel the images with its largest values,
    one activation of each image.

    Args:
        maps: the level's map of each image, ``(channels, *spatial)``.
        level: name of the level.
        channels: number of channels.
        images: number of images of each channel.

    Returns:
        The activations of each channel, the largest first.

    Example:
        >>> one, other = torch.tensor([[[0.0, 3.0]], [[1.0, 0.0]]]), torch.tensor([[[4.0, 0.0]],
        ...     [[0.0, 0.0]]])
        >>> [(a.channel, a.image, a.place, a.value) for a in strongest([one, other], "x", 1)[0]]
        [(0, 1, (0, 0), 4.0), (0, 0, (0, 1), 3.0)]
    """
    peaks = torch.stack([each.flatten(1).amax(1) for each in maps])
    chosen = peaks.amax(0).argsort(descending=True, stable=True)[:channels]
    found = []
    for channel in chosen.tolist():
        order = peaks[:, channel].argsort(descending=True, stable=True)[:images]
        found.append(
            [_peak(maps[image][channel], level, channel, image) for image in order.tolist()]
        )
    return found


def _peak(map_: Tensor, level: str, channel: int, image: int) -> Activation:
    place = torch.unravel_index(map_.argmax(), map_.shape)
    where = tuple(int(index) for index in place)
    return Activation(level, channel, image, where, float(map_[where]))


def receptive_window(
    path: EncoderPath, level: str, place: Sequence[int], sides: Sequence[int]
) -> tuple[slice, ...]:
    """Return the part of an image that one activation sees.

    Args:
        path: contracting path.
        level: name of the level.
        place: place in the level's map.
        sides: of the image, pixels.

    Example:
        Two convolutions of 3 x 3 see two pixels on each side:

        >>> from pipeline.networks import UNet
        >>> path = encoder_path(UNet(2, 1, 1, features=(2, 4)))
        >>> receptive_window(path, "encoder1", (7, 1), (16, 16))
        (slice(5, 10, None), slice(0, 4, None))
    """
    low, high = list(place), list(place)
    names = [each.name for each in path.levels]
    for each in reversed(path.levels[: names.index(level) + 1]):
        for unit in each.block.units:
            for axis, side in enumerate(unit.convolution.kernel_size):  # type: ignore[arg-type, union-attr]
                low[axis], high[axis] = low[axis] - side // 2, high[axis] + side // 2
        if not isinstance(each.pool, nn.Identity):
            for axis, stride in enumerate(each.pool.kernel_size):  # type: ignore[arg-type]
                low[axis], high[axis] = low[axis] * stride, high[axis] * stride + stride - 1
    square = path.pixel_unshuffle
    return tuple(
        slice(max(0, first * square), min(side, (last + 1) * square))
        for first, last, side in zip(low, high, sides, strict=True)
    )


def explain_strongest(network: nn.Module, images: Sequence[Image]) -> ExplanationPart:
    """Trace the strongest activations of every encoder level back to the images.

    A network without a contracting path of ours is not traced; the summary says so.

    Args:
        network: network in evaluation mode.
        images: images to look in.
    """
    try:
        path = encoder_path(network)
    except ValueError as error:
        return ExplanationPart({"strongest": {"without": f"not traced: {error}"}}, {}, {})
    device = next(network.parameters()).device
    pixels = [image.pixels.to(device) for image in images]
    backs = [Deconvolution(path, each) for each in pixels]
    rows, drawn = [], []
    for level in path.levels:
        for of_channel in strongest([back.maps[level.name] for back in backs], level.name):
            tiles = []
            for activation in of_channel:
                rows.append(_row(activation, images[activation.image].name))
                seen = pixels[activation.image]
                tiles += _tiles(path, backs[activation.image], activation, seen)
            drawn.append((f"{level.name}\nchannel {of_channel[0].channel}", tiles))
    pictures = {"strongest": panels(drawn, TILE_PIXELS)}
    return ExplanationPart({"strongest": {"activations": rows}}, {"strongest": rows}, pictures)


def _row(activation: Activation, image: str) -> dict[str, Any]:
    place = " ".join(map(str, activation.place))
    return {**activation._asdict(), "image": image, "place": place}


def _tiles(
    path: EncoderPath, back: Deconvolution, activation: Activation, image: Tensor
) -> list[Panel]:
    """Return what the image shows to an activation, and the part of the image that it sees."""
    shown = back.trace(activation.level, activation.channel, activation.place)
    window = receptive_window(path, activation.level, activation.place, image.shape[1:])
    return [
        Panel(f"{activation.value:.2g}", as_grey(shown)[window]),
        Panel("image", as_grey(image)[window]),
    ]
