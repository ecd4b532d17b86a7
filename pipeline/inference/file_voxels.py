"""From the logits on the network's grid to probabilities in the pixels of the file."""

from collections.abc import Callable, Iterator
from copy import copy, deepcopy
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import (
    CenterSpatialCropd,
    Compose,
    Invertd,
    MapTransform,
    Orientationd,
    Resized,
    Spacingd,
)
from monai.utils import TraceKeys, convert_to_tensor
from numpy.typing import NDArray

from pipeline.inference.eight_bits import as_probability
from transforms import PixelSpacingd

SPATIAL = (CenterSpatialCropd, Orientationd, PixelSpacingd, Resized, Spacingd)
"""Transforms of preprocessing that change the places of the pixels, and that are inverted."""
SCALE = "scale"
"""Key of the pixels of the file that a pixel of the network's grid covers."""

TurnBack = Callable[[torch.Tensor], torch.Tensor]
"""From the network's grid to the file's pixels."""


class FileProbabilities:
    """The probabilities of labels in the pixels of the file, made for one label at a time.

    Args:
        maps: ``(K, *spatial)`` on the network's grid, logits or 8 bits.
        turn_back: from the grid to the file, ``(1, *spatial)`` each; None: it is the file's.
    """

    def __init__(self, maps: torch.Tensor, turn_back: TurnBack | None = None) -> None:
        # logits are small maps: all at once
        self.maps = maps if maps.dtype == torch.uint8 else as_probability(maps)
        self.turn_back = turn_back

    def __len__(self) -> int:
        """How many labels."""
        return len(self.maps)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Return the probabilities of each label, ``(*spatial)``, one after the other."""
        return map(self._of_file, self.maps)

    def split(self, labels: int) -> tuple["FileProbabilities", "FileProbabilities"]:
        """Return the maps of the labels, and the further ones, as distances.

        Example:
            >>> both = FileProbabilities(torch.zeros(3, 4, 4)).split(1)
            >>> [len(maps) for maps in both]
            [1, 2]
        """
        of_labels, further = copy(self), copy(self)
        of_labels.maps, further.maps = self.maps[:labels], self.maps[labels:]
        return of_labels, further

    def stacked(self) -> NDArray[np.float32] | None:
        """Return all maps, ``(K, *spatial)``, one of them in memory twice; None: there are none."""
        if not len(self):
            return None
        maps = iter(self)
        first = next(maps)
        stacked = np.empty((len(self), *first.shape), first.dtype)
        stacked[0] = first
        for place, label in enumerate(maps, start=1):
            stacked[place] = label
        return stacked

    def _of_file(self, label: torch.Tensor) -> NDArray[np.float32]:
        probability = as_probability(label) if label.dtype == torch.uint8 else label
        if self.turn_back is None:
            return probability.numpy(force=True)
        turned = self.turn_back(probability[None])[0].numpy(force=True)
        return turned.clip(0, 1, out=turned)


class ToFileVoxels(MapTransform):
    """Gives the probabilities of the labels, and the image, the pixels of the file.

    What preprocessing did to the image (turned, resampled, resized, cropped) is inverted; outside a
    crop the probability is 0.

    Args:
        preprocessing: transforms of the image.
    """

    def __init__(self, preprocessing: Compose) -> None:
        super().__init__(("image", "pred"))
        spatial = any(isinstance(transform, SPATIAL) for transform in preprocessing.transforms)
        settings = {"orig_keys": "image", "nearest_interp": False, "to_tensor": True}
        self.invert_image = Invertd("image", preprocessing, **settings) if spatial else None
        self.invert_label = Invertd("label", preprocessing, **settings) if spatial else None

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        """Return the item with ``pred`` as :class:`FileProbabilities`, and ``scale``."""
        maps: torch.Tensor = convert_to_tensor(item["pred"], track_meta=False)
        if self.invert_image is None or self.invert_label is None:
            return {**item, "pred": FileProbabilities(maps), SCALE: 1.0}
        large = maps.dtype == torch.uint8
        on_grid = _with_32_bit_places(item["image"]) if large else item["image"]
        invert = self.invert_label

        def turn_back(label: torch.Tensor) -> torch.Tensor:
            turned: torch.Tensor = invert({"label": MetaTensor(label), "image": on_grid})["label"]
            return convert_to_tensor(turned, track_meta=False)

        out = self.invert_image({**item, "image": on_grid})
        scale = _voxel_size(on_grid) / _voxel_size(out["image"])
        return {**out, "pred": FileProbabilities(maps, turn_back), SCALE: scale}


def to_file_voxels(preprocessing: Compose) -> Compose:
    """Return :class:`ToFileVoxels` as MONAI's evaluators take it."""
    return Compose([ToFileVoxels(preprocessing)])


def _voxel_size(image: MetaTensor) -> float:
    dims = image.ndim - 1
    affine = np.asarray(image.affine, np.float64)[:dims, :dims]
    return abs(float(np.linalg.det(affine)))


def _with_32_bit_places(image: MetaTensor) -> MetaTensor:
    """Return an image whose resampling is inverted with places in 32 bits.

    In MONAI's 64 the places of the voxels of a large volume take six times the memory of its
    values, and are more exact than 8 bits of a probability can show.
    """
    operations = deepcopy(image.applied_operations)
    for operation in operations:
        extra = operation.get(TraceKeys.EXTRA_INFO, {})
        if extra.get("dtype") == "float64":
            extra["dtype"] = "float32"
    return MetaTensor(image.as_tensor(), meta=image.meta, applied_operations=operations)
