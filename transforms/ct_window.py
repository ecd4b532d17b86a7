"""The window of CT through which a network sees."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_tensor

from transforms.intensities import EIGHT_BITS, check_finite, format_maximum
from transforms.naming import apply_named


class CTWindow(Transform):
    """Map a window of Hounsfield units to 0 to 255; values outside it are clipped.

    An image of 8 bits went through a window already and stays as it is: 8 bits cannot hold
    Hounsfield units.

    Args:
        width: width of the window, HU.
        level: its middle, HU.

    Shapes: ``(1, *spatial)`` in and out.

    Raises:
        ValueError: a width of 0 or less; an image of several channels, of NaN, or of unsigned
            numbers of more than 8 bits, whose zero is not known.

    Example:
        >>> CTWindow(width=400, level=40)(torch.tensor([[[-500, -160, 40, 240]]])).tolist()
        [[[0.0, 0.0, 127.5, 255.0]]]
    """

    def __init__(self, width: float, level: float) -> None:
        if width <= 0:
            raise ValueError(f"width: found {width}, expected Hounsfield units above 0")
        self.width, self.level = width, level

    def __call__(self, image: NdarrayOrTensor) -> torch.Tensor:
        """Return the image as float32."""
        tensor: torch.Tensor = convert_to_tensor(image, dtype=torch.float32, track_meta=True)
        if len(tensor) != 1:
            raise ValueError(f"an image with {len(tensor)} channels; expected 1, a CT slice")
        check_finite(tensor)
        maximum = format_maximum(image)
        if maximum == EIGHT_BITS:
            return tensor
        if maximum is not None:
            raise ValueError(
                f"unsigned values of 0 to {maximum:g}, whose zero is not known; expected "
                "Hounsfield units (DICOM, NIfTI, signed numbers) or 8 bits of a window; convert it"
            )
        low = self.level - self.width / 2
        return (EIGHT_BITS * (tensor - low) / self.width).clamp(0, EIGHT_BITS)


class CTWindowd(MapTransform):
    """:class:`CTWindow` on the named keys of a dictionary; an error names the file."""

    def __init__(
        self, keys: KeysCollection, width: float, level: float, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = CTWindow(width, level)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with its images seen through the window."""
        return apply_named(self, self.transform, data)
