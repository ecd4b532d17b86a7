"""From the names of structures to the numbers of a mask; where structures overlap, to regions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dicom_labels.grid import Voxels
from pipeline.data.label_numbers import Numbers, numbers_of

DEFAULT_FRACTION = 0.5
IGNORE = "ignore"
Structure = tuple[str, Voxels]
"""The name of a structure, and voxels that belong to it; a structure may come in several parts."""


class LabelRule(NamedTuple):
    """How the structures of DICOM files become numbers.

    Attributes:
        numbers: number of each structure, or the numbers of a region, by name; empty: each name
            that occurs gets a number.
        ignore: number of the structure ``ignore``, if it is to be ignored.
        fraction: share of a voxel, or probability, from which a fractional segment has it.
    """

    numbers: Mapping[str, Numbers] = {}
    ignore: int | None = None
    fraction: float = DEFAULT_FRACTION

    def names(self) -> dict[str, str]:
        """Return the name of each structure that has a number, by its name in small letters."""
        listed = [*self.numbers, *([] if self.ignore is None else [IGNORE])]
        return {name.casefold(): name for name in listed}

    def number_of(self, names: frozenset[str]) -> int | None:
        """Return the number of a voxel that belongs to some structures; ``None``: it has none.

        Example:
            >>> rule = LabelRule({"whole": [1, 2], "core": 2}, ignore=9)
            >>> rule.number_of(frozenset(["whole"])), rule.number_of(frozenset(["whole", "core"]))
            (1, 2)
            >>> rule.number_of(frozenset(["core"])), rule.number_of(frozenset(["core", "ignore"]))
            (None, 9)
        """
        if not names:
            return 0
        if IGNORE in names and self.ignore is not None:
            return self.ignore
        for number in (n for label in self.numbers.values() for n in numbers_of(label)):
            if {
                name for name, label in self.numbers.items() if number in numbers_of(label)
            } == names:
                return number
        return None


def paint(
    structures: Iterable[Structure], shape: Sequence[int], rule: LabelRule
) -> NDArray[np.unsignedinteger[Any]]:
    """Return the mask of an image: the number of each voxel.

    Args:
        structures: voxels of each structure that has a number.
        shape: of the volume.
        rule: number of each structure.

    Raises:
        ValueError: structures overlap whose overlap has no number. The message does not name the
            file.

    Example:
        >>> row = np.arange(2), np.zeros(2, int), np.zeros(2, int)
        >>> paint([("liver", row)], (3, 1, 1), LabelRule({"liver": 4})).ravel().tolist()
        [4, 4, 0]
    """
    sets: list[frozenset[str]] = [frozenset()]
    places = np.zeros(shape, np.uint16)
    for name, voxels in structures:
        before, inverse = np.unique(places[voxels], return_inverse=True)
        after = [_place_of(sets, sets[place] | {name}) for place in before.tolist()]
        places[voxels] = np.array(after, np.uint16)[inverse.reshape(-1)]
    counts = np.bincount(places.ravel(), minlength=len(sets)).tolist()
    table = _numbers(dict(zip(sets, counts, strict=True)), rule)
    mask: NDArray[np.unsignedinteger[Any]] = table[places]
    return mask


def _numbers(
    counts: Mapping[frozenset[str], int], rule: LabelRule
) -> NDArray[np.unsignedinteger[Any]]:
    """Return the number of each set of structures, which some voxels have; 0 for all others."""
    numbers = []
    for names, count in counts.items():
        number = rule.number_of(names) if count else 0
        if number is None:
            occurring = [one for one, times in counts.items() if times]
            raise ValueError(_no_number(names, count, occurring))
        numbers.append(number)
    return np.array(numbers, np.min_scalar_type(max(numbers)))


def _place_of(sets: list[frozenset[str]], names: frozenset[str]) -> int:
    if names not in sets:
        sets.append(names)
    return sets.index(names)


def _no_number(names: frozenset[str], count: int, sets: Sequence[frozenset[str]]) -> str:
    # small sets first: the first number of each label must differ
    numbered = list(enumerate(sorted(filter(None, sets), key=len), 1))
    labels = [
        f"'{name}=" + ",".join(str(number) for number, one in numbered if name in one) + "'"
        for name in sorted({name for one in sets for name in one})
    ]
    listed = " and ".join(sorted(names))
    overlap = "overlap" if len(names) > 1 else "lies alone"
    return (
        f"{listed} {overlap} in {count} voxels, and no number means that; expected one number a "
        f"voxel; make them regions, as --labels {' '.join(labels)}, or leave one out of --labels"
    )
