"""Conversion of labels of several classes to one mask for each class."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_tensor

from transforms.naming import apply_named


class ClassMasks(Transform):
    """Turn a map of class numbers into one float32 {0, 1} mask for each class.

    The background has no mask: a pixel of no class is 0 in every mask. (MONAI's one-hot encoding
    has a channel for the background, and accepts a number that is no class.)

    Args:
        numbers: numbers of the classes, in the order of the masks.

    Shapes: ``(1, *spatial)`` to ``(K, *spatial)`` for K classes.

    Raises:
        ValueError: no class number, the same number twice, or 0; or a map with a number that is
            neither 0 nor that of a class.

    Example:
        >>> ClassMasks([1, 2])(torch.tensor([[[0, 1, 2]]])).tolist()
        [[[0.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]]]
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        if not numbers or len(set(numbers)) < len(numbers) or min(numbers) < 1:
            raise ValueError(
                f"numbers: found {list(numbers)}, expected the class numbers, each once; 0 is "
                "the background"
            )
        self.numbers = tuple(numbers)

    def __call__(self, label: NdarrayOrTensor) -> torch.Tensor:
        """Return the masks."""
        tensor: torch.Tensor = convert_to_tensor(label, track_meta=True)
        if tensor.shape[0] != 1:
            raise ValueError(
                f"a label of {tensor.shape[0]} channels; expected one, of class numbers; write "
                "one number for each class into one channel"
            )
        values = set(torch.unique(torch.as_tensor(tensor)).tolist())
        unknown = sorted(values - {0, *self.numbers})
        if unknown:
            expected = ", ".join(map(str, (0, *self.numbers)))
            raise ValueError(
                f"a label with the value {unknown[0]:g}; expected {expected}; correct it"
            )
        return torch.cat([tensor == number for number in self.numbers]).to(torch.float32)


class ClassMasksd(MapTransform):
    """:class:`ClassMasks` on the named keys of a dictionary; an error names the file."""

    def __init__(
        self, keys: KeysCollection, numbers: Sequence[int], allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = ClassMasks(numbers)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with a mask for each class."""
        return apply_named(self, self.transform, data)
