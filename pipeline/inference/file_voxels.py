"""From the logits on the network's grid to probabilities in the pixels of the file."""

from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import (
    CenterSpatialCropd,
    Compose,
    Invertd,
    Orientationd,
    Resized,
    Spacingd,
)
from monai.utils import convert_to_tensor

from transforms import PixelSpacingd

SPATIAL = (CenterSpatialCropd, Orientationd, PixelSpacingd, Resized, Spacingd)
"""Transforms of preprocessing that change the places of the pixels, and that are inverted."""
SCALE = "scale"
"""Key of the pixels of the file that a pixel of the network's grid covers."""


class ToFileVoxels:
    """Turns logits into probabilities and gives them, and the image, the pixels of the file.

    What preprocessing did to the image (turned, resampled, resized, cropped) is inverted; outside a
    crop the probability is 0.

    Args:
        preprocessing: transforms of the image.
    """

    def __init__(self, preprocessing: Compose) -> None:
        spatial = any(isinstance(transform, SPATIAL) for transform in preprocessing.transforms)
        settings = {"orig_keys": "image", "nearest_interp": False, "to_tensor": True}
        self.invert = Invertd(["pred", "image"], preprocessing, **settings) if spatial else None

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        """Return the item with ``pred`` as probability, and ``scale``."""
        out = dict(item)
        logits: torch.Tensor = convert_to_tensor(out["pred"], dtype=torch.float32)
        out["pred"] = logits.sigmoid()
        out[SCALE] = 1.0
        if self.invert is not None:
            voxel = _voxel_size(out["image"])
            if not isinstance(out["pred"], MetaTensor):
                out["pred"] = MetaTensor(out["pred"])
            out = self.invert(out)
            out["pred"] = out["pred"].clamp(0, 1)
            out[SCALE] = voxel / _voxel_size(out["image"])
        return out


def to_file_voxels(preprocessing: Compose) -> Compose:
    """Return :class:`ToFileVoxels` as MONAI's evaluators take it."""
    return Compose([ToFileVoxels(preprocessing)])


def _voxel_size(image: MetaTensor) -> float:
    dims = image.ndim - 1
    affine = np.asarray(image.affine, np.float64)[:dims, :dims]
    return abs(float(np.linalg.det(affine)))
