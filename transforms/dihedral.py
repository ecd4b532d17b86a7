"""The eight symmetries of the square."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, RandomizableTransform, Transform


class Dihedral(Transform):
    """Apply one of the eight symmetries of the square to the last two axes.

    Element ``k`` of the dihedral group D4 transposes when ``k & 4``, then flips the rows when
    ``k & 2`` and the columns when ``k & 1``. No pixel is interpolated.

    Shapes: ``(..., H, W)``, array or tensor; the last two axes are exchanged for ``k >= 4``.

    Example:
        >>> import torch
        >>> Dihedral()(torch.tensor([[1, 2], [3, 4]]), 1)
        tensor([[2, 1],
                [4, 3]])
    """

    def __call__(self, image: NdarrayOrTensor, k: int) -> NdarrayOrTensor:
        """Return element ``k``, 0 to 7, applied to the image."""
        return _flipped(_transposed(image, k), k)

    def inverse(self, image: NdarrayOrTensor, k: int) -> NdarrayOrTensor:
        """Undo element ``k``."""
        return _transposed(_flipped(image, k), k)


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


def _transposed(image: NdarrayOrTensor, k: int) -> NdarrayOrTensor:
    if not k & 4:
        return image
    if isinstance(image, np.ndarray):
        return np.ascontiguousarray(np.swapaxes(image, -2, -1))
    return image.transpose(-2, -1)


def _flipped(image: NdarrayOrTensor, k: int) -> NdarrayOrTensor:
    axes = tuple(axis for axis, bit in ((-2, 2), (-1, 1)) if k & bit)
    if not axes:
        return image
    if isinstance(image, np.ndarray):
        return np.ascontiguousarray(np.flip(image, axes))  # torch takes no negative strides
    return image.flip(axes)
