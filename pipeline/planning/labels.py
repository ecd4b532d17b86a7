"""What the numbers in a cohort's masks mean."""

from collections import Counter
from collections.abc import Sequence

from pipeline.data.facts import MOST_VALUES
from pipeline.data.fingerprint import CaseFacts

MASK, CLASSES, INSTANCES = "mask", "classes", "instances"
KINDS = (MASK, CLASSES, INSTANCES)

USUAL = 0.5
"""Share of the masks in which every class is expected to occur; numbers of instances are not."""


def label_kind(facts: Sequence[CaseFacts]) -> str:
    """Tell masks of one structure, maps of classes, and numbered instances apart.

    Two values are a mask. Several are classes when each of them occurs in half of the masks or
    more: instances are numbered 1, 2, 3, … as far as each image has them, so that high numbers are
    rare.

    Example:
        >>> from pathlib import Path
        >>> from pipeline.data.facts import MaskFacts
        >>> def case(*values):
        ...     mask = MaskFacts((8, 8), values, 0.5, False, 1, False)
        ...     return CaseFacts(Path("a"), Path("b"), "", {}, mask=mask)
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
    counts = Counter(value for mask in masks for value in mask.values if value)
    if len(counts) <= 1:
        return MASK
    many = any(len(mask.values) > MOST_VALUES for mask in masks)
    marked = sum(any(mask.values) for mask in masks)
    rare = min(counts.values()) < USUAL * marked
    return INSTANCES if many or rare else CLASSES


def class_numbers(facts: Sequence[CaseFacts]) -> list[int]:
    """Return the class numbers that occur, in rising order."""
    values = {value for case in facts if case.mask for value in case.mask.values}
    return sorted(int(value) for value in values if value)
