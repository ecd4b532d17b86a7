"""Labels by name: the number of each in the masks, or the numbers of a region."""

from collections import Counter
from collections.abc import Mapping, Sequence

Numbers = int | Sequence[int]
"""The number of a label, or the numbers of a region that is their union."""

LabelNumbers = Mapping[str, Numbers]
"""Each label's number or numbers, by its name."""


def numbers_of(label: Numbers) -> tuple[int, ...]:
    """Return the numbers of a label, of a region all of them.

    Example:
        >>> numbers_of(3), numbers_of([1, 2])
        ((3,), (1, 2))
    """
    return (label,) if isinstance(label, int) else tuple(label)


def all_numbers(labels: LabelNumbers) -> list[int]:
    """Return the numbers of all labels, each once, in ascending order.

    Example:
        >>> all_numbers({"whole": [1, 2, 3], "core": [2, 3], "other": 9})
        [1, 2, 3, 9]
    """
    return sorted({number for label in labels.values() for number in numbers_of(label)})


def labels_overlap(labels: LabelNumbers) -> bool:
    """Return whether a number belongs to two labels, so that a voxel may have both.

    Example:
        >>> labels_overlap({"whole": [1, 2], "core": 2}), labels_overlap({"a": [1, 2], "b": 3})
        (True, False)
    """
    counts = Counter(number for label in labels.values() for number in set(numbers_of(label)))
    return any(count > 1 for count in counts.values())


def painted_numbers(labels: LabelNumbers) -> list[int]:
    """Return the number that a written mask holds for each label: of a region its first.

    Raises:
        ValueError: two labels would have the same.

    Example:
        >>> painted_numbers({"whole": [1, 2, 3], "core": [2, 3], "enhancing": 3})
        [1, 2, 3]
    """
    names: dict[int, str] = {}
    for name, label in labels.items():
        number = numbers_of(label)[0]
        other = names.setdefault(number, name)
        if other != name:
            raise ValueError(
                f"labels {name}: found {number} as its first number, as of {other}; a mask is "
                "written with the first number of each label, so list another one first"
            )
    return list(names)


def label_names(labels: LabelNumbers) -> dict[str, str]:
    """Return what each number in a written mask means, as a bundle's metadata say it.

    Example:
        >>> label_names({"whole": [1, 2], "core": 2})
        {'0': 'background', '1': 'whole', '2': 'core'}
    """
    numbers = map(str, painted_numbers(labels))
    return {"0": "background", **dict(zip(numbers, labels, strict=True))}
