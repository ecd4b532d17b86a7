"""The eight symmetries of the square."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform, Transform


class Dihedral(Transform):
    """Apply one of the eight symmetries of the square to the last two axes.

    Element ``k`` of the dihedral group D4 transposes when ``k & 4``, then flips the rows when
    ``k & 2`` and the columns when ``k & 1``. No pixel is interpolated.

    Shapes: ``(..., H, W)``; the last two axes are exchanged for ``k >= 4``.

    Example:
        >>> Dihedral()(torch.tensor([[1, 2], [3, 4]]), 1)
        tensor([[2, 1],
                [4, 3]])
    """

    def __call__(self, image: torch.Tensor, k: int) -> torch.Tensor:
        """Return element ``k``, 0 to 7, applied to the image."""
        if k & 4:
            image = image.transpose(-2, -1)
        axes = [axis for axis, bit in ((-2, 2), (-1, 1)) if k & bit]
        return torch.flip(image, axes) if axes else image

    def inverse(self, image: torch.Tensor, k: int) -> torch.Tensor:
        """Undo element ``k``."""
        axes = [axis for axis, bit in ((-2, 2), (-1, 1)) if k & bit]
        image = torch.flip(image, axes) if axes else image
        return image.transpose(-2, -1) if k & 4 else image


class RandDihedrald(RandomizableTransform, MapTransform):
    """Apply the same random symmetry of the square to all the named keys of a dictionary.

    The images must be square in their last two axes, as crops are, so that a batch keeps its shape.
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob=1.0)
        self.transform = Dihedral()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with its images transformed by one of the eight symmetries."""
        out = dict(data)
        k = self.R.randint(8)
        for key in self.key_iterator(out):
            out[key] = self.transform(out[key], k)
        return out
