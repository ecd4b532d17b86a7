"""Conversion of grey, RGB and RGBA images to three channels."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_tensor

from transforms.grey_image import without_opacity
from transforms.intensities import EIGHT_BITS, as_8_bits, check_finite
from transforms.naming import apply_named


class ColourImage(Transform):
    """Convert a grey, RGB or RGBA image to three channels of float32, in the range of 8 bits.

    The range of the file's number format (8 or 16 bits) becomes 0 to 255. A grey image is repeated;
    an alpha channel is dropped if every pixel is opaque.

    Shapes: ``(1 | 2 | 3 | 4, *spatial)`` to ``(3, *spatial)``.

    Raises:
        ValueError: another number of channels, a value outside 0 to 255, NaN, or transparency.

    Example:
        >>> ColourImage()(torch.full((1, 2, 2), 7)).shape
        torch.Size([3, 2, 2])
    """

    def __call__(self, image: NdarrayOrTensor) -> torch.Tensor:
        """Return the image in three channels."""
        tensor: torch.Tensor = convert_to_tensor(image, dtype=torch.float32, track_meta=True)
        channels = tensor.shape[0]
        if channels not in (1, 2, 3, 4):
            raise ValueError(f"an image with {channels} channels; expected grey, RGB or RGBA")
        check_finite(tensor)
        scaled = as_8_bits(tensor)
        low, high = (float(value) for value in torch.aminmax(scaled))
        if low < 0 or high > EIGHT_BITS:
            raise ValueError(
                f"intensities from {low:g} to {high:g}; expected 0 to 255; convert it to 8 bits"
            )
        if channels in (2, 4):
            scaled = without_opacity(scaled)
        return scaled.expand(3, *scaled.shape[1:]) if len(scaled) == 1 else scaled


class ColourImaged(MapTransform):
    """:class:`ColourImage` on the named keys of a dictionary; an error names the file."""

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = ColourImage()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with its images in three channels."""
        return apply_named(self, self.transform, data)
