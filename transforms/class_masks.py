"""Conversion of labels of several classes to one mask for each class."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_tensor

from transforms.naming import apply_named
from transforms.whole_numbers import whole_numbers

Numbers = int | Sequence[int]
"""The number of a class, or the numbers of a region that is their union."""

IGNORED = -1.0
"""What every mask holds where the label is to be ignored."""


class ClassMasks(Transform):
    """Turn a map of class numbers into one float32 {0, 1} mask for each class or region.

    The background has no mask: a pixel of no class is 0 in every mask. (MONAI's one-hot encoding
    has a channel for the background, and accepts a number that is no class.) A region is the union
    of several numbers; regions may overlap. Values that are almost whole are rounded, see
    :func:`transforms.whole_numbers.whole_numbers`.

    Args:
        numbers: number of each class, or the list of numbers of a region, in the order of the
            masks.
        ignore: number of pixels that count neither in the loss nor in a metric; they are -1 in
            every mask. None: there are none.

    Shapes: ``(1, *spatial)`` to ``(K, *spatial)`` for K classes and regions.

    Raises:
        ValueError: no class number, the same class or region twice, 0, or the ignored number among
            them; or a map with a number that is neither 0, nor that of a class, nor the ignored.

    Example:
        >>> ClassMasks([1, 2])(torch.tensor([[[0, 1, 2]]])).tolist()
        [[[0.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]]]
        >>> ClassMasks([[1, 2], 2], ignore=9)(torch.tensor([[[0, 1, 2, 9]]])).tolist()
        [[[0.0, 1.0, 1.0, -1.0]], [[0.0, 0.0, 1.0, -1.0]]]
    """

    def __init__(self, numbers: Sequence[Numbers], ignore: int | None = None) -> None:
        regions = [(part,) if isinstance(part, int) else tuple(part) for part in numbers]
        sets = [frozenset(region) for region in regions]
        classes = set().union(*sets)
        if not sets or not all(sets) or len(set(sets)) < len(sets) or min(classes) < 1:
            raise ValueError(
                f"numbers: found {list(numbers)}, expected the class numbers, each once; 0 is "
                "the background"
            )
        if ignore is not None and (ignore < 1 or ignore in classes):
            raise ValueError(
                f"ignore: found {ignore}, expected a number above 0 that is no class; the classes "
                f"have {', '.join(map(str, sorted(classes)))}"
            )
        self.regions, self.ignore = regions, ignore
        self.expected = [0, *dict.fromkeys(number for region in regions for number in region)]
        self.expected += [] if ignore is None else [ignore]

    def __call__(self, label: NdarrayOrTensor) -> torch.Tensor:
        """Return the masks."""
        tensor: torch.Tensor = whole_numbers(convert_to_tensor(label, track_meta=True))
        if tensor.shape[0] != 1:
            raise ValueError(
                f"a label of {tensor.shape[0]} channels; expected one, of class numbers; write "
                "one number for each class into one channel"
            )
        values = set(torch.unique(torch.as_tensor(tensor)).tolist())
        unclasses = sorted(values - set(self.expected))
        if unclasses:
            expected = ", ".join(map(str, self.expected))
            raise ValueError(
                f"a label with the value {unclasses[0]:g}; expected {expected}; correct it"
            )
        masks = torch.cat([_union(tensor, region) for region in self.regions]).to(torch.float32)
        return masks if self.ignore is None else masks.masked_fill(tensor == self.ignore, IGNORED)


class ClassMasksd(MapTransform):
    """:class:`ClassMasks` on the named keys of a dictionary; an error names the file."""

    def __init__(
        self,
        keys: KeysCollection,
        numbers: Sequence[Numbers],
        ignore: int | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = ClassMasks(numbers, ignore)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with a mask for each class."""
        return apply_named(self, self.transform, data)


def _union(tensor: torch.Tensor, numbers: Sequence[int]) -> torch.Tensor:
    union = tensor == numbers[0]
    for number in numbers[1:]:
        union = union | (tensor == number)
    return union
