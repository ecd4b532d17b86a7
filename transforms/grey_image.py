"""Check of images before their intensities are scaled."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_tensor

from transforms.intensities import check_intensities
from transforms.naming import apply_named


class GreyImage(Transform):
    """Check that an image has one channel with values from 0 to ``maximum``; convert to float32.

    Args:
        maximum: largest value of the image's number format: 255 for 8 bits, 65535 for 16.

    Shapes: ``(1, *spatial)`` in and out.

    Raises:
        ValueError: more than one channel, a value outside the range, or a NaN.

    Example:
        >>> GreyImage()(torch.tensor([[[0, 255]]])).dtype
        torch.float32
        >>> GreyImage()(torch.zeros(4, 2, 2))
        Traceback (most recent call last):
        ValueError: an image with 4 channels; expected 1, a grey image; convert it to grey
    """

    def __init__(self, maximum: float = 255) -> None:
        self.maximum = maximum

    def __call__(self, image: NdarrayOrTensor) -> torch.Tensor:
        """Return the image as float32."""
        tensor: torch.Tensor = convert_to_tensor(image, dtype=torch.float32, track_meta=True)
        if tensor.shape[0] != 1:
            raise ValueError(
                f"an image with {tensor.shape[0]} channels; expected 1, a grey image; "
                "convert it to grey"
            )
        remedy = "convert it, or set intensity_max to the largest value of its format"
        check_intensities(tensor, self.maximum, remedy)
        return tensor


class GreyImaged(MapTransform):
    """:class:`GreyImage` on the named keys of a dictionary; an error names the file."""

    def __init__(
        self, keys: KeysCollection, maximum: float = 255, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = GreyImage(maximum)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with its images as float32."""
        return apply_named(self, self.transform, data)
