"""Meaning of the numbers in a cohort's masks."""

from collections import Counter
from collections.abc import Mapping, Sequence

from pipeline.data.fingerprint import CaseStatistics
from pipeline.data.image_statistics import MAX_MASK_VALUES, MaskStatistics
from pipeline.data.label_numbers import LabelNumbers, all_numbers, numbers_of
from pipeline.planning.label_names import NamedLabels

MASK, CLASSES, INSTANCES = "mask", "classes", "instances"
MIN_INSTANCES = 4
"""Smallest highest number of all masks at which numbers can be taken for those of instances."""
MIN_INSTANCES_RATIO = 2
"""Ratio of the most to the fewest numbers in a mask from which they are those of instances."""
MAX_STEADY_NUMBERS = 20
"""Largest highest number in a mask up to which numbers that hardly vary are classes."""
MAX_TABLE_ROWS = 40
"""Largest number of rows in the table of values."""


def label_kind(cases: Sequence[CaseStatistics], named: NamedLabels | None = None) -> str:
    """Return whether the masks hold one structure, classes, or numbered instances.

    Masks of 0 and 1, or of 0 and 255, hold one structure. Flat masks hold instances if each that is
    not empty has the numbers 1 to n without a gap, and n varies widely: the highest n is at least
    :data:`MIN_INSTANCES` and twice the lowest, or above :data:`MAX_STEADY_NUMBERS`. All others hold
    classes; so do masks whose values are named, and volumes.

    Returns:
        ``mask``, ``classes`` or ``instances``.

    Example:
        >>> from pathlib import Path
        >>> from pipeline.data.image_statistics import MaskStatistics
        >>> def case(*values):
        ...     mask = MaskStatistics((8, 8), values, 0.5, False, 1, False)
        ...     return CaseStatistics(Path("a"), Path("b"), "", {}, mask=mask)
        >>> label_kind([case(0, 255), case(0)])
        'mask'
        >>> label_kind([case(0, 1, 2), case(0, 1), case(0, 1)])
        'classes'
        >>> label_kind([case(0, 1), case(0, 1, 2, 3), case(0, 1, 2, 3, 4, 5)])
        'instances'
    """
    masks = [case.mask for case in cases if case.mask]
    if named is not None and not _names_one_structure(named):
        return CLASSES
    if any(mask.smeared for mask in masks) or all(_is_mask(mask.values) for mask in masks):
        return MASK
    return INSTANCES if named is None and _are_instances(masks) else CLASSES


def _names_one_structure(named: NamedLabels) -> bool:
    return named.ignore is None and list(named.numbers.values()) in ([1], [255])


def _is_mask(values: Sequence[float]) -> bool:
    """Return whether a mask has no other values than 0 and 1, or 0 and 255."""
    return set(values) <= {0, 1} or set(values) <= {0, 255}


def _are_instances(masks: Sequence[MaskStatistics]) -> bool:
    numbers = [[value for value in mask.values if value] for mask in masks]
    counts = [len(of_mask) for of_mask in numbers if of_mask]
    if any(len(mask.size) > 2 for mask in masks):
        return False
    if any(of_mask != list(range(1, len(of_mask) + 1)) for of_mask in numbers):
        return False
    varying = max(counts) >= max(MIN_INSTANCES, MIN_INSTANCES_RATIO * min(counts))
    return varying or max(counts) > MAX_STEADY_NUMBERS


def check_kind(
    cases: Sequence[CaseStatistics], kind: str, named: NamedLabels | None = None
) -> None:
    """Check that the masks and the named labels are of the given kind.

    Raises:
        ValueError: a mask of one structure has more values, or another value than 1 or 255; names
            that are not of the kind; or more classes than may go without a name.
    """
    if named is not None and kind != CLASSES:
        _check_single(named, kind)
    for case in cases:
        smeared = case.mask is not None and case.mask.smeared
        if kind == MASK and case.mask and not smeared and not _is_mask(case.mask.values):
            values = ", ".join(f"{value:g}" for value in case.mask.values[:5])
            raise ValueError(
                f"{case.label_path}: the values {values}; expected 0 and 1, or 0 and 255; give "
                "--kind classes or --kind instances"
            )
    if kind == CLASSES and named is None:
        _check_number_of_classes(cases)


def _check_single(named: NamedLabels, kind: str) -> None:
    expected = [[1]] if kind == INSTANCES else [[1], [255]]
    if named.ignore is not None or list(named.numbers.values()) not in expected:
        numbers = " or ".join(str(number) for (number,) in expected)
        raise ValueError(
            f"{named.source}: found {_format_labels(named)}; expected one label of --kind {kind}, "
            f"NAME={numbers}, and nothing ignored; give --kind classes"
        )


def _format_labels(named: NamedLabels) -> str:
    labels = [f"{name}={_format_numbers(numbers)}" for name, numbers in named.numbers.items()]
    return " ".join([*labels, *([] if named.ignore is None else [f"ignore={named.ignore}"])])


def _format_numbers(label: int | Sequence[int]) -> str:
    return ",".join(map(str, numbers_of(label)))


def _check_number_of_classes(cases: Sequence[CaseStatistics]) -> None:
    numbers = class_numbers(cases)
    if len(numbers) > MAX_MASK_VALUES:
        raise ValueError(
            f"{cases[0].label_path} and {len(cases) - 1} more: {len(numbers)} values besides 0; "
            f"expected at most {MAX_MASK_VALUES} classes without names; are these masks? Name the "
            "classes by --labels NAME=NUMBER …, or give --kind instances"
        )


def class_numbers(cases: Sequence[CaseStatistics]) -> list[int]:
    """Return the class numbers that occur, in ascending order."""
    values = {value for case in cases if case.mask for value in case.mask.values}
    return sorted(int(value) for value in values if value)


def planned_labels(
    cases: Sequence[CaseStatistics], kind: str, named: NamedLabels | None = None
) -> dict[str, int | list[int]]:
    """Return each label's number or numbers by name; what is not named is ``label_NUMBER``."""
    if named is not None:
        return named.numbers
    if kind != CLASSES:
        return {"foreground": 1}
    return {f"label_{number}": number for number in class_numbers(cases)}


def absent_numbers(cases: Sequence[CaseStatistics], named: NamedLabels) -> list[str]:
    """Return a remark for each named number that no mask has.

    Raises:
        ValueError: there is one, and the names are not those of a ``dataset.json``; or no mask has
            the number of any label.
    """
    values = {value for case in cases if case.mask for value in case.mask.values}
    if any(case.mask and case.mask.smeared for case in cases):
        values = {0, 255}  # what they are mended to
    absent = [number for number in named.mask_numbers() if number not in values]
    none_there = not values & set(all_numbers(named.numbers))
    if none_there or (absent and not named.partial):
        raise ValueError(
            f"{named.source}: {_names_of(absent[0], named)}={absent[0]}: no mask has this number; "
            f"the masks have {', '.join(f'{value:g}' for value in sorted(values))}; leave it out, "
            "or correct it"
        )
    return [f"{named.source}: no mask has {_names_of(n, named)}, {n}" for n in absent]


def _names_of(number: int, named: NamedLabels) -> str:
    labels: Mapping[str, int | list[int]] = named.numbers
    names = [name for name, label in labels.items() if number in numbers_of(label)]
    return ", ".join(names) or "ignore"


def value_table(
    cases: Sequence[CaseStatistics], labels: LabelNumbers | None = None, ignore: int | None = None
) -> list[str]:
    """Return the lines of a table: each value of the masks, the cases and the voxels that have it.

    Args:
        cases: statistics of each case.
        labels: names of the values, which the last column shows.
        ignore: number that is ignored.
    """
    times, voxels = Counter[float](), Counter[float]()
    for mask in (case.mask for case in cases if case.mask):
        times.update(mask.values)
        voxels.update(mask.pixels())
    rows = [
        f"{value:>10g} {times[value]:>10} {voxels[value]:>14}  {_meaning(value, labels, ignore)}"
        for value in sorted(times)
    ]
    more = len(rows) - MAX_TABLE_ROWS
    lines = [f"{'value':>10} {'cases':>10} {'voxels':>14}", *rows[:MAX_TABLE_ROWS]]
    return [line.rstrip() for line in lines] + ([f"… and {more} more values"] if more > 0 else [])


def _meaning(value: float, labels: LabelNumbers | None, ignore: int | None) -> str:
    if value == 0:
        return "background"
    if value == ignore:
        return "ignored"
    return ", ".join(n for n, label in (labels or {}).items() if value in numbers_of(label))
