"""The ends of an inference as MONAI's other tools read them: an image alone, and a label map."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import LoadImaged, MapTransform

from pipeline.data.label_numbers import LabelNumbers
from pipeline.inference.file_voxels import SCALE, FileProbabilities
from pipeline.inference.operating_point import OperatingPoint

PROBABILITY = "probability"
"""Key of the probabilities that a label map was made from, in the pixels of the file."""
CONFIDENCES = "confidences"
"""Key of the confidence in each label, :class:`pipeline.inference.confidence.Confidence`."""
INSTANCES = "instances"
"""Key of the numbered instances, where they are separated."""

Transform = Any


class ChannelAxis(MapTransform):
    """Gives an image without a channel axis one.

    A loader has done so; an image from memory, as MONAI Deploy hands it over, may have none.

    Args:
        spatial_dims: axes of the image beside that of the channels.

    Example:
        >>> ChannelAxis(2)({"image": torch.zeros(4, 6)})["image"].shape
        torch.Size([1, 4, 6])
    """

    def __init__(self, spatial_dims: int) -> None:
        super().__init__("image")
        self.spatial_dims = spatial_dims

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return the item with an image ``(C, *spatial)``."""
        image = item["image"]
        return {**item, "image": image[None] if image.ndim == self.spatial_dims else image}


def image_transforms(transforms: Sequence[Transform], spatial_dims: int) -> list[Transform]:
    """Return the preprocessing of an image whose mask is not known.

    The loaders of masks are left out: MONAI Label calls every loader, whether its file is there or
    not. :class:`ChannelAxis` follows the image's loader, which MONAI Deploy leaves out.

    Args:
        transforms: of image and mask.
        spatial_dims: axes of the image beside that of the channels.

    Example:
        >>> loaders = [LoadImaged("image"), LoadImaged("label", allow_missing_keys=True)]
        >>> [type(transform).__name__ for transform in image_transforms(loaders, 2)]
        ['LoadImaged', 'ChannelAxis']
    """
    chain: list[Transform] = []
    for transform in transforms:
        if not isinstance(transform, LoadImaged):
            chain.append(transform)
        elif "image" in transform.keys:
            chain += [transform, ChannelAxis(spatial_dims)]
    return chain


class ToLabelMap(MapTransform):
    """Makes the label map of an image from the probabilities of its labels.

    Threshold, post-processing and instances are those of the operating point, in the pixels of the
    file. The map holds the number of each label, of a region its first, and 0 for the background.

    Args:
        operating_point: of the model.
        labels: name of each label and its number or numbers; none: the one label is 1.

    Example:
        >>> probabilities = FileProbabilities(torch.tensor([[[9.0, -9.0]]]))
        >>> item = {"image": MetaTensor(torch.zeros(1, 1, 2)), "pred": probabilities, SCALE: 1.0}
        >>> ToLabelMap(OperatingPoint(), {"lung": 7})(item)["pred"].tolist()
        [[[7, 0]]]
    """

    def __init__(self, operating_point: OperatingPoint, labels: LabelNumbers | None = None) -> None:
        super().__init__("pred")
        self.operating_point, self.labels = operating_point, labels or {}

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return the item with ``pred`` as the label map ``(1, *spatial)``.

        What it was made from is in ``probability``, the confidence in each label in
        ``confidences``; separated instances are in ``instances``.

        Raises:
            ValueError: another number of labels than of maps.
        """
        maps: FileProbabilities = item["pred"]
        point = self.operating_point.at(item[SCALE])
        self._check_labels(len(maps))
        probabilities, rest = maps.split(max(1, len(self.labels)))
        mask, instances, confidences = point.painted(probabilities, self.labels, rest.stacked())
        numbers = mask.view(np.uint8) if mask.dtype == bool else mask
        label_map = MetaTensor(torch.from_numpy(numbers)[None], meta=item["image"].meta)
        separated = {} if instances is None else {INSTANCES: instances}
        further = {PROBABILITY: probabilities, CONFIDENCES: confidences, **separated}
        return {**item, "pred": label_map, **further}

    def _check_labels(self, maps: int) -> None:
        further = self.operating_point.further_maps
        if maps != max(1, len(self.labels)) + further:
            raise ValueError(
                f"labels: found {len(self.labels)} names for {maps - further} maps of the network; "
                "give one for each of several"
            )
