"""Mirroring of images beyond their borders, by any width."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_dst_type
from torch import Tensor

from transforms.naming import apply_named


class MirrorPad(Transform):
    """Mirror an image beyond its border; the border pixel is not repeated.

    ``monai.transforms.BorderPad`` does the same if the border is narrower than the image.

    Args:
        border: number of pixels added on each side of every axis.

    Shapes: ``(C, *spatial)`` to ``(C, *(spatial + 2 border))``, array or tensor.

    Raises:
        ValueError: a negative border.

    Example:
        >>> MirrorPad(3)(np.array([[1, 2, 3]])).tolist()
        [[2, 3, 2, 1, 2, 3, 2, 1, 2]]
    """

    def __init__(self, border: int) -> None:
        if border < 0:
            raise ValueError(f"border: found {border}, expected 0 or more pixels")
        self.border = border

    def __call__(self, image: Any) -> Any:
        """Return the padded image."""
        sides = image.shape[1:]
        start, larger = [-self.border] * len(sides), [side + 2 * self.border for side in sides]
        out, *_ = convert_to_dst_type(crop_mirrored(image, start, larger), image)
        return out


class MirrorPadd(MapTransform):
    """:class:`MirrorPad` on the named keys of a dictionary."""

    def __init__(self, keys: KeysCollection, border: int, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = MirrorPad(border)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with its images padded."""
        return apply_named(self, self.transform, data)


def crop_mirrored(image: Any, start: Sequence[int], sides: Sequence[int]) -> Tensor:
    """Crop ``sides`` at ``start`` from an image ``(C, *spatial)`` that is mirrored without end.

    Only the part of the image that the crop shows is read.

    Example:
        >>> crop_mirrored(np.array([[1, 2, 3]]), [-2], [8]).tolist()
        [[3, 2, 1, 2, 3, 2, 1, 2]]
    """
    indices = [
        reflect_indices(torch.arange(first, first + length), side)
        for first, length, side in zip(start, sides, image.shape[1:], strict=True)
    ]
    lowest = [int(index.min()) for index in indices]
    window = (slice(low, int(index.max()) + 1) for low, index in zip(lowest, indices, strict=True))
    part = image[(slice(None), *window)]
    cut = part if isinstance(part, Tensor) else torch.from_numpy(np.array(part))
    for axis, (low, index) in enumerate(zip(lowest, indices, strict=True), start=1):
        cut = cut.index_select(axis, (index - low).to(cut.device))
    return cut


def reflect_indices(indices: Tensor, side: int) -> Tensor:
    """Reflect indices outside of an axis into it; the border pixel is not repeated."""
    period = max(1, 2 * (side - 1))
    inside = indices % period
    return torch.where(inside < side, inside, period - inside)
