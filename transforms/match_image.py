"""Resampling of masks to the grid of their image."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.data.utils import to_affine_nd
from monai.transforms import MapTransform, SpatialResample

from transforms.places import MAX_FINE_OFFSET, Grid, offset

NEAREST, LINEAR = "nearest", "bilinear"


class MatchImaged(MapTransform):
    """Resample masks to the grid of their image, after whatever was done to it.

    Of masks in {0, 1} a pixel is foreground where at least half of it is; a voxel to ignore (-1)
    stays so. Numbers of instances are taken from the nearest pixel. A mask on the grid already is
    returned unchanged.

    Args:
        keys: masks, with the grid of their files.
        like: key of the image.
        numbers: whether the values are numbers of instances.

    Shapes: ``(C, *spatial)`` to ``(C, *spatial)`` of the image.
    """

    def __init__(
        self,
        keys: KeysCollection,
        like: str = "image",
        numbers: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.like, self.numbers = like, numbers

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with its masks on the grid of the image."""
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = match_grid(out[key], out[self.like], self.numbers)
        return out


def match_grid(mask: Any, image: Any, numbers: bool = False) -> Any:
    """Resample a mask to the grid of an image.

    A mask that went through all that its image did is on the grid already. Any other flat mask has
    the place that its image had in the file: its pixels match those of the file.

    Args:
        mask: ``(C, *spatial)``.
        image: ``(C, *spatial)`` on the wanted grid.
        numbers: whether the values are numbers of instances.
    """
    if not isinstance(mask, MetaTensor) or not isinstance(image, MetaTensor):
        return mask
    if _is_same_grid(mask, image):
        return mask
    if mask.ndim == 3 and "original_affine" in image.meta:
        mask = mask.clone()
        mask.affine = torch.as_tensor(np.asarray(image.meta["original_affine"]))
        if _is_same_grid(mask, image):
            return mask
    if numbers:
        return _resample(mask, image, NEAREST)
    matched = (_resample((mask > 0).float(), image, LINEAR) >= 0.5).float()
    if bool((mask < 0).any()):
        matched[_resample((mask < 0).float(), image, LINEAR) >= 0.5] = -1
    return matched


def _resample(mask: MetaTensor, image: MetaTensor, mode: str) -> MetaTensor:
    resample = SpatialResample(mode=mode, padding_mode="zeros", dtype=torch.float32)
    with resample.trace_transform(False):
        matched: MetaTensor = resample(
            mask, dst_affine=image.affine, spatial_size=tuple(image.shape[1:])
        )
    return matched


def _is_same_grid(mask: MetaTensor, image: MetaTensor) -> bool:
    """Whether indices of the one are those of the other, up to a tenth of a pixel."""
    if mask.shape[1:] != image.shape[1:]:
        return False
    grids = [Grid(tuple(a.shape[1:]), _own_affine(a)) for a in (image, mask)]
    return offset(*grids) <= MAX_FINE_OFFSET


def _own_affine(array: MetaTensor) -> np.ndarray:
    """Return the affine of the array's own axes, ``(D + 1, D + 1)``; a flat one stores four."""
    affine: np.ndarray = to_affine_nd(array.ndim - 1, np.asarray(array.affine, np.float64))
    return affine
