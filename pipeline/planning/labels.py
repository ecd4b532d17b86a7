"""What the numbers in a cohort's masks mean."""

from collections import Counter
from collections.abc import Sequence

from pipeline.data.fingerprint import CaseStatistics
from pipeline.data.image_statistics import MOST_VALUES

MASK, CLASSES, INSTANCES = "mask", "classes", "instances"
USUAL = 0.5
"""Share of the masks in which every class is expected to occur; numbers of instances are not."""


def label_kind(facts: Sequence[CaseStatistics]) -> str:
    """Tell masks of one structure, maps of classes, and numbered instances apart.

    Masks of 0 and 1, or 0 and 255, are a mask. Others are classes when each of their values occurs
    in half of the masks or more: instances are numbered 1, 2, 3, … as far as each image has them,
    so that high numbers are rare.

    Example:
        >>> from pathlib import Path
        >>> from pipeline.data.image_statistics import MaskStatistics
        >>> def case(*values):
        ...     mask = MaskStatistics((8, 8), values, 0.5, False, 1, False)
        ...     return CaseStatistics(Path("a"), Path("b"), "", {}, mask=mask)
        >>> label_kind([case(0, 255), case(0)])
        'mask'
        >>> label_kind([case(0, 1, 2), case(0, 1, 2), case(0, 2)])
        'classes'
        >>> label_kind([case(0, 1), case(0, 1, 2, 3), case(0, 1, 2, 3, 4, 5)])
        'instances'
    """
    masks = [case.mask for case in facts if case.mask]
    if any(mask.smeared for mask in masks):
        return MASK
    if all(_is_mask(mask.values) for mask in masks):
        return MASK
    counts = Counter(value for mask in masks for value in mask.values if value)
    many = any(len(mask.values) > MOST_VALUES for mask in masks)
    marked = sum(any(mask.values) for mask in masks)
    rare = min(counts.values()) < USUAL * marked
    return INSTANCES if many or rare else CLASSES


def _is_mask(values: Sequence[float]) -> bool:
    """Tell whether a mask alone has no other values than 0 and 1, or 0 and 255."""
    return set(values) <= {0, 1} or set(values) <= {0, 255}


def check_kind(facts: Sequence[CaseStatistics], kind: str) -> None:
    """Refuse masks that are not of the kind they are said to be.

    Raises:
        ValueError: a mask of one structure has more values, or another than 1 or 255.
    """
    for case in facts:
        smeared = case.mask is not None and case.mask.smeared
        if kind == MASK and case.mask and not smeared and not _is_mask(case.mask.values):
            found = ", ".join(f"{value:g}" for value in case.mask.values[:5])
            raise ValueError(
                f"{case.label_path}: the values {found}; expected 0 and 1, or 0 and 255; give "
                "--kind classes or --kind instances"
            )


def class_numbers(facts: Sequence[CaseStatistics]) -> list[int]:
    """Return the class numbers that occur, in rising order."""
    values = {value for case in facts if case.mask for value in case.mask.values}
    return sorted(int(value) for value in values if value)
