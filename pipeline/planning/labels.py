"""Meaning of the numbers in a cohort's masks."""

from collections import Counter
from collections.abc import Sequence

from pipeline.data.fingerprint import CaseStatistics
from pipeline.data.image_statistics import MAX_MASK_VALUES

MASK, CLASSES, INSTANCES = "mask", "classes", "instances"
MIN_CLASS_SHARE = 0.5
"""Smallest share of the masks that a class is expected in; instance numbers are often in fewer."""


def label_kind(cases: Sequence[CaseStatistics]) -> str:
    """Return whether the masks hold one structure, classes, or numbered instances.

    Masks of 0 and 1, or of 0 and 255, hold one structure. Other masks hold classes if each of their
    values occurs in half of the masks or more. Otherwise they hold instances: these are numbered
    1, 2, 3, … in each image, so that high numbers are rare.

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
        >>> label_kind([case(0, 1, 2), case(0, 1, 2), case(0, 2)])
        'classes'
        >>> label_kind([case(0, 1), case(0, 1, 2, 3), case(0, 1, 2, 3, 4, 5)])
        'instances'
    """
    masks = [case.mask for case in cases if case.mask]
    if any(mask.smeared for mask in masks):
        return MASK
    if all(_is_mask(mask.values) for mask in masks):
        return MASK
    counts = Counter(value for mask in masks for value in mask.values if value)
    too_many = any(len(mask.values) > MAX_MASK_VALUES for mask in masks)
    not_empty = sum(any(mask.values) for mask in masks)
    rare = min(counts.values()) < MIN_CLASS_SHARE * not_empty
    return INSTANCES if too_many or rare else CLASSES


def _is_mask(values: Sequence[float]) -> bool:
    """Return whether a mask has no other values than 0 and 1, or 0 and 255."""
    return set(values) <= {0, 1} or set(values) <= {0, 255}


def check_kind(cases: Sequence[CaseStatistics], kind: str) -> None:
    """Check that the masks are of the given kind.

    Raises:
        ValueError: a mask of one structure has more values, or another value than 1 or 255.
    """
    for case in cases:
        smeared = case.mask is not None and case.mask.smeared
        if kind == MASK and case.mask and not smeared and not _is_mask(case.mask.values):
            values = ", ".join(f"{value:g}" for value in case.mask.values[:5])
            raise ValueError(
                f"{case.label_path}: the values {values}; expected 0 and 1, or 0 and 255; give "
                "--kind classes or --kind instances"
            )


def class_numbers(cases: Sequence[CaseStatistics]) -> list[int]:
    """Return the class numbers that occur, in ascending order."""
    values = {value for case in cases if case.mask for value in case.mask.values}
    return sorted(int(value) for value in values if value)
