"""Resampling of flat images to one pixel size, where their files tell it."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform, Resize
from monai.utils import TraceKeys

from transforms.naming import file_of

MAX_SIDE_PIXELS = 32768
"""Largest side that an image is resampled to; beyond it its pixel size must be wrong."""


class PixelSpacingd(MapTransform, InvertibleTransform):
    """Resample flat images to a pixel size, if their files tell theirs; else leave them.

    Downsampling smooths first. The inverse gives a prediction the pixels of its file.

    Args:
        keys: images; their meta data say ``in_mm``, whether the affine is in millimetres.
        spacing: distance of the rows and of the columns, mm.

    Shapes: ``(C, H, W)`` to ``(C, H', W')``.

    Raises:
        ValueError: a spacing that is not above 0, or an image of more than :data:`MAX_SIDE_PIXELS`
            a side after resampling.

    Example:
        >>> affine = torch.diag(torch.tensor([2.0, 2.0, 1.0, 1.0]))
        >>> image = MetaTensor(torch.rand(1, 8, 6), affine=affine)
        >>> image.meta["in_mm"] = True
        >>> PixelSpacingd("image", (1.0, 1.0))({"image": image})["image"].shape
        torch.Size([1, 16, 12])
    """

    def __init__(
        self, keys: KeysCollection, spacing: Sequence[float], allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(spacing) != 2 or min(spacing) <= 0:
            raise ValueError(f"spacing: found {list(spacing)}, expected two distances above 0, mm")
        self.spacing = tuple(float(distance) for distance in spacing)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with its images resampled."""
        out = dict(data)
        for key in self.key_iterator(out):
            image = out[key]
            resized = _resized(image, self._size(image))
            self.push_transform(resized, orig_size=tuple(image.shape[1:]))
            out[key] = resized
        return out

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with the sizes that its images had."""
        out = dict(data)
        for key in self.key_iterator(out):
            transform = self.pop_transform(out[key])
            out[key] = _resized(out[key], transform[TraceKeys.ORIG_SIZE])
        return out

    def _size(self, image: MetaTensor) -> tuple[int, ...]:
        sides = tuple(image.shape[1:])
        if not image.meta.get("in_mm", False):
            return sides
        own = [float(distance) for distance in image.pixdim[:2]]
        size = tuple(
            max(1, round(side * distance / target))
            for side, distance, target in zip(sides, own, self.spacing, strict=True)
        )
        if max(size) > MAX_SIDE_PIXELS:
            raise ValueError(
                f"{file_of(image)}: pixels of {own[0]:g} x {own[1]:g} mm; the network's are "
                f"{self.spacing[0]:g} x {self.spacing[1]:g} mm, at which the image has "
                f"{size[0]} x {size[1]} pixels; is its pixel size right?"
            )
        return size


def _resized(image: MetaTensor, size: Sequence[int]) -> MetaTensor:
    if tuple(image.shape[1:]) == tuple(size):
        return image.clone()
    resize = Resize(tuple(size), mode="bilinear", anti_aliasing=True, dtype=torch.float32)
    with resize.trace_transform(False):
        resized: MetaTensor = resize(image)
    return resized
