"""Check of grey images, and their range."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_tensor

from transforms.intensities import as_8_bits, check_finite
from transforms.naming import apply_named


class GreyImage(Transform):
    """Bring a grey image to one channel of float32, in the range of 8 bits.

    The range of the file's number format (8, 12, 16 bits) becomes 0 to 255, so that one exam gives
    the same values in all of them. Fractions and signed numbers stay as they are. A grey image that
    is stored in colour, with or without opacity, becomes one channel.

    Shapes: ``(1 | 2 | 3 | 4, *spatial)`` to ``(1, *spatial)``.

    Raises:
        ValueError: an image in colour or with transparent pixels, or a value that is NaN or
            infinite.

    Example:
        >>> GreyImage()(torch.tensor([[[0, 255]]])).tolist()
        [[[0.0, 255.0]]]
        >>> GreyImage()(torch.stack([torch.full((2, 2), k) for k in (1, 2, 3)]))
        Traceback (most recent call last):
        ValueError: an image in colour (3 channels that differ); expected grey; convert it to grey
    """

    def __call__(self, image: NdarrayOrTensor) -> torch.Tensor:
        """Return the image as float32."""
        tensor: torch.Tensor = convert_to_tensor(image, dtype=torch.float32, track_meta=True)
        check_finite(tensor)
        scaled = as_8_bits(tensor)
        if len(scaled) in (2, 4):
            scaled = without_opacity(scaled)
        if len(scaled) > 1 and not bool((scaled == scaled[:1]).all()):
            raise ValueError(
                f"an image in colour ({len(scaled)} channels that differ); expected grey; convert "
                "it to grey"
            )
        return scaled[:1]


class GreyImaged(MapTransform):
    """:class:`GreyImage` on the named keys of a dictionary; an error names the file."""

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = GreyImage()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with its images in one channel."""
        return apply_named(self, self.transform, data)


def without_opacity(image: torch.Tensor) -> torch.Tensor:
    """Return grey or RGB without its last channel, the opacity, in the range of 8 bits.

    Raises:
        ValueError: a pixel is transparent.
    """
    if bool((image[-1] < 255).any()):
        raise ValueError("an image with transparent pixels; expected none; flatten it first")
    return image[:-1]
