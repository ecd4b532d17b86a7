"""The kinds of plain values that a packed config may hold: what each accepts, in one table.

A plain value is data: it names no code, leads to no file, and is no larger than any bundle needs.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from pipeline.bundle.knobs import KNOBS

MAX_COUNT = 1_000_000
MAX_WIDTH = 16_384
"""Largest number of channels, of voxels along a side, of cases in a batch."""
MAX_NUMBER = 1e12
MAX_ITEMS = 512
"""Items of a list, or of a mapping."""
MAX_NESTING = 3
"""Lists in each other, as kernels have them."""
MAX_NAME = 64
MASKS = ("label", "instances", "inside")
"""Keys of the masks of a case; ``inside`` is what patches are drawn around."""
MAX_OVERLAP = 0.75
"""Of windows: where they overlap more, an image of ordinary size takes hours."""
NAME = re.compile(r"(?!_)\w[\w.-]{0,63}")
WORD = re.compile(r"[A-Za-z][\w-]{0,39}")
SELECTION = re.compile(r"[\w=~, .-]{1,200}")
ENDING = re.compile(r"[\w. -]{1,64}")


class Kind(NamedTuple):
    """A kind of value.

    Attributes:
        expected: in words, for a refusal.
        accepts: whether a value is of this kind.
    """

    expected: str
    accepts: Callable[[Any], bool]


def is_plain(value: Any) -> bool:
    """Whether a value is data of any kind: numbers, flags, names, and lists and mappings of them.

    Example:
        >>> is_plain({"sides": [1, 2.5], "of": "image"}), is_plain("$open('x')"), is_plain("../x")
        (True, False, False)
    """
    return _of_items(value, lambda item: item is None or any(k.accepts(item) for k in _PLAIN))


def _is_number(value: Any) -> bool:
    whole_or_not = isinstance(value, int | float) and not isinstance(value, bool)
    return whole_or_not and abs(value) <= MAX_NUMBER  # which NaN is not


def _up_to(most: float) -> Callable[[Any], bool]:
    return lambda value: _is_number(value) and 0 <= value <= most


def _is_whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_count(value: Any) -> bool:
    return _is_whole(value, 0, MAX_COUNT)


def _is_width(value: Any) -> bool:
    return _is_whole(value, 1, MAX_WIDTH)


def _matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _of_items(value: Any, accepts: Callable[[Any], bool], depth: int = 0) -> bool:
    """Whether a value, or each item of a list or mapping of values, is accepted."""
    if not isinstance(value, list | dict):
        return accepts(value)
    if len(value) > MAX_ITEMS or depth == MAX_NESTING:
        return False
    if isinstance(value, dict) and not all(map(_matches(NAME), value)):
        return False
    items = value.values() if isinstance(value, dict) else value
    return all(_of_items(item, accepts, depth + 1) for item in items)


def _one_or_more(accepts: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: not isinstance(value, dict) and _of_items(value, accepts)


def _are_endings(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and 0 < len(value) <= MAX_ITEMS
        and all(map(_matches(NAME), value))
        and all(map(_matches(ENDING), value.values()))
    )


def _are_labels(value: Any) -> bool:
    """Whether a value is what the knob takes, and no larger than any bundle needs."""
    return KNOBS["labels"].accepts(value) and all(
        len(part) <= most
        for part, most in (
            (value, MAX_ITEMS),
            *((name, MAX_NAME) for name in value),
            *((numbers, MAX_ITEMS) for numbers in value.values() if isinstance(numbers, list)),
        )
    )


KINDS = {
    "flag": Kind("true or false", lambda value: isinstance(value, bool)),
    "number": Kind("a number", _is_number),
    "numbers": Kind("a number or a list of numbers", _one_or_more(_is_number)),
    "share": Kind("a number from 0 to 1", _up_to(1)),
    "count": Kind(f"a whole number, 0 to {MAX_COUNT}", _is_count),
    "counts": Kind(f"whole numbers, 0 to {MAX_COUNT}", _one_or_more(_is_count)),
    "width": Kind(f"a whole number, 1 to {MAX_WIDTH}", _is_width),
    "widths": Kind(f"whole numbers, 1 to {MAX_WIDTH}", _one_or_more(_is_width)),
    "sides": Kind(
        f"2 or 3 whole numbers, 1 to {MAX_WIDTH}",
        lambda value: (
            isinstance(value, list) and len(value) in (2, 3) and all(map(_is_width, value))
        ),
    ),
    "name": Kind("a name of letters, digits, '.', '-' and '_'", _matches(NAME)),
    "names": Kind("a name or a list of names", _one_or_more(_matches(NAME))),
    "word": Kind("a word", _matches(WORD)),
    "words": Kind("a word or a list of words", _one_or_more(_matches(WORD))),
    "image": Kind("image", lambda value: value == "image"),
    "label": Kind("label", lambda value: value == "label"),
    "inside": Kind("inside", lambda value: value == "inside"),
    "masks": Kind(
        f"one or several of {', '.join(MASKS)}",
        lambda value: (
            _one_or_more(lambda key: isinstance(key, str) and key in MASKS)(value) and value != []
        ),
    ),
    "metric": Kind(KNOBS["threshold_metric"].expected, KNOBS["threshold_metric"].accepts),
    "overlap": Kind(f"a number from 0 to {MAX_OVERLAP}", _up_to(MAX_OVERLAP)),
    "labels": Kind("names of labels with their numbers", _are_labels),
    "endings": Kind("names of images with the endings of their files", _are_endings),
    "selection": Kind("ATTRIBUTE=VALUE of a DICOM series", _matches(SELECTION)),
    "null": Kind("null", lambda value: value is None),
}
"""Every kind, by the name that a policy calls it."""

_PLAIN = (KINDS["flag"], KINDS["number"], KINDS["name"])
