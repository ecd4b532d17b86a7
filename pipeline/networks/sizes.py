"""Image sides that fit the poolings: padding, cropping, and the sides of unpadded outputs."""

from collections.abc import Sequence
from itertools import count

import torch
import torch.nn.functional as F
from torch import Tensor


def pad_to_multiple(image: Tensor, multiples: list[int]) -> Tensor:
    """Repeat the far edges of an image ``(B, C, *spatial)`` until each side is a multiple.

    ``multiples`` holds a number for each spatial dimension. The origin stays where it is, and so
    does the pooling grid. A traced graph always pads, by as many pixels as the image's size needs.
    """
    pads: list[int] = []
    for side, multiple in zip(image.shape[2:], multiples, strict=True):
        pads.insert(0, (-side) % multiple)
        pads.insert(0, 0)
    if not torch.jit.is_tracing() and not any(pads):
        return image
    return F.pad(image, pads, mode="replicate")


def crop_far(maps: Tensor, sides: list[int]) -> Tensor:
    """Undo :func:`pad_to_multiple`: keep the first ``sides`` pixels of each spatial dimension."""
    if len(sides) == 2:
        return maps[:, :, : sides[0], : sides[1]]
    return maps[:, :, : sides[0], : sides[1], : sides[2]]


def crop_centre(maps: Tensor, sides: list[int]) -> Tensor:
    """Keep the central ``sides`` of maps ``(B, C, *spatial)``, as Ronneberger's skips do."""
    pads: list[int] = []
    for whole, side in zip(maps.shape[2:], sides, strict=True):
        before = (whole - side) // 2
        pads.insert(0, side + before - whole)
        pads.insert(0, -before)
    return F.pad(maps, pads)  # unlike that of a slice, its gradient keeps the maps' layout


def valid_output_side(
    side: int, encoder_trims: Sequence[int], decoder_trims: Sequence[int]
) -> int | None:
    """Return the side that unpadded convolutions leave, or None where ``side`` does not fit.

    ``encoder_trims`` holds the pixels that each level's convolutions take off a side, the image's
    level first and the bottleneck last; ``decoder_trims`` holds those of the way up, deepest first.

    >>> valid_output_side(572, (4, 4, 4, 4, 4), (4, 4, 4, 4))
    388
    """
    *levels, bottleneck = encoder_trims
    for trim in levels:
        side -= trim
        if side < 2 or side % 2:
            return None
        side //= 2
    side -= bottleneck
    for trim in decoder_trims:
        if side < 1:
            return None
        side = 2 * side - trim
    return side if side >= 1 else None


def nearest_valid_sides(
    side: int, encoder_trims: Sequence[int], decoder_trims: Sequence[int]
) -> list[int]:
    """Return the nearest smaller side that fits, where there is one, and the nearest larger one."""

    def fits(candidate: int) -> bool:
        return valid_output_side(candidate, encoder_trims, decoder_trims) is not None

    below = next(filter(fits, range(side - 1, 0, -1)), None)
    above = next(filter(fits, count(side + 1)))
    return [above] if below is None else [below, above]
