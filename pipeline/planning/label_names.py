"""The labels that a user names: ``NAME=NUMBER …``, or a ``dataset.json`` as other tools write it.

- ``background=0 anterior=1 posterior=2``: a label for each number;
- ``whole=1,2,3 core=2,3``: regions, the unions of several numbers, which may overlap;
- ``liver="#ff0000"``: the colour of a label in coloured masks, which become masks of numbers;
- ``ignore=255``: the number of voxels that count neither in the loss nor in a metric;
- ``dataset.json`` of nnU-Net v2, ``"labels": {"background": 0, "whole": [1, 2, 3], "ignore": 4}``,
  or of the Decathlon, ``"labels": {"0": "background", "1": "Anterior"}``.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.bundle.knobs import LABEL_NAME, MAX_LABEL_NUMBER
from pipeline.data.label_numbers import Numbers, all_numbers, numbers_of, painted_numbers

BACKGROUND, IGNORE = "background", "ignore"
OPTION = "--labels"
COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
"""A colour as ``#rrggbb``: red, green and blue, two hexadecimal digits each."""
BLACK = (0, 0, 0)


class NamedLabels(NamedTuple):
    """Labels as a user names them.

    Attributes:
        numbers: number of each label, or the numbers of a region, by name.
        ignore: number of the voxels that are ignored; None: there are none.
        source: option or file that names them.
        partial: whether the masks may lack some of the numbers, as those of a ``dataset.json``.
        colours: the number that each colour of the masks becomes; empty: the masks hold numbers.
    """

    numbers: dict[str, int | list[int]]
    ignore: int | None = None
    source: str = OPTION
    partial: bool = False
    colours: Mapping[tuple[int, ...], int] = {}

    def mask_numbers(self) -> list[int]:
        """Return every number that a mask may hold besides 0."""
        return [*all_numbers(self.numbers), *([] if self.ignore is None else [self.ignore])]


def named_labels(texts: Sequence[str]) -> NamedLabels:
    """Read the labels that a user names.

    Args:
        texts: ``NAME=NUMBERS`` each, or the path of one ``dataset.json``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a text or file of another form, a name that is not allowed or given twice, a
            number outside 1 to 65535, or numbers that two labels share as their first.

    Example:
        >>> named_labels(["background=0", "whole=1,2", "core=2", "ignore=255"])[:2]
        ({'whole': [1, 2], 'core': 2}, 255)
        >>> named_labels(["liver=#ff0000", "tumour=#00ff00"])[::4]
        ({'liver': 1, 'tumour': 2}, {(0, 0, 0): 0, (255, 0, 0): 1, (0, 255, 0): 2})
    """
    if len(texts) == 1 and texts[0].endswith(".json"):
        return _read_json(Path(texts[0]))
    if any("=#" in text for text in texts):
        return _named_colours(texts)
    pairs = [_parse_pair(text) for text in texts]
    return _checked(pairs, OPTION, partial=False)


def _named_colours(texts: Sequence[str]) -> NamedLabels:
    colours = dict(_parse_colour(text) for text in texts)
    background = [name for name in colours if name.casefold() == BACKGROUND]
    pairs: list[tuple[str, Numbers]] = [
        (name, number)
        for number, name in enumerate((name for name in colours if name not in background), 1)
    ]
    labels = _checked(pairs, OPTION, partial=True)
    numbers = {colours[name]: number for name, number in pairs if isinstance(number, int)}
    zeros = dict.fromkeys([BLACK, *(colours[name] for name in background)], 0)
    if len(numbers) < len(pairs) or len(texts) > len(colours) or numbers.keys() & zeros.keys():
        raise ValueError(
            f"{OPTION} {' '.join(texts)}: found a name or a colour twice, or black as a label; "
            "expected a colour of its own for each; black is the background"
        )
    return labels._replace(colours={**zeros, **numbers})


def _parse_colour(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, colour = text.rpartition("=")
    if not name or not COLOUR.fullmatch(colour):
        raise ValueError(
            f"{OPTION} {text}: expected NAME=#RRGGBB as the others, the red, green and blue of the "
            "label in hexadecimal digits; for example --labels 'liver=#ff0000' 'tumour=#00ff00'"
        )
    return name, tuple(bytes.fromhex(colour[1:]))


def _parse_pair(text: str) -> tuple[str, Numbers]:
    name, _, numbers = text.rpartition("=")
    parts = numbers.split(",")
    if not name or not all(part.strip().isdecimal() for part in parts):
        raise ValueError(
            f"{OPTION} {text}: expected NAME=NUMBER, NAME=NUMBER,NUMBER for a region, or a "
            "dataset.json; for example --labels background=0 anterior=1 posterior=2"
        )
    values = [int(part) for part in parts]
    return name, values if len(values) > 1 else values[0]


def _read_json(path: Path) -> NamedLabels:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give the dataset.json with the labels")
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not readable as JSON ({error}); restore it") from None
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, dict) or not labels:
        raise ValueError(
            f'{path}: has no \'labels\'; expected {{"labels": {{"background": 0, "liver": 1}}}}'
        )
    pairs = list(_json_pairs(path, labels))
    order = content.get("regions_class_order")
    return _checked(_in_class_order(path, pairs, order), str(path), partial=True)


def _json_pairs(path: Path, labels: Mapping[str, Any]) -> Iterator[tuple[str, Numbers]]:
    for key, value in labels.items():
        if key.isdecimal() and isinstance(value, str):  # the Decathlon's form
            yield value, int(key)
        elif _is_number(value):
            yield key, value
        elif isinstance(value, list) and value and all(map(_is_number, value)):
            yield key, value if len(value) > 1 else value[0]
        else:
            raise ValueError(
                f"{path}: labels {key}: found {value!r}, expected a number or a list of numbers"
            )


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _in_class_order(
    path: Path, pairs: Sequence[tuple[str, Numbers]], order: Any
) -> list[tuple[str, Numbers]]:
    """Put the number that nnU-Net writes for each label first, as ``regions_class_order`` says."""
    if order is None:
        return list(pairs)
    labels = [name for name, _ in pairs if name.casefold() not in (BACKGROUND, IGNORE)]
    if not isinstance(order, list) or len(order) != len(labels):
        raise ValueError(
            f"{path}: regions_class_order: found {order!r}, expected a number for each of "
            f"{', '.join(labels)}"
        )
    first = dict(zip(labels, order, strict=True))
    ordered: list[tuple[str, Numbers]] = []
    for name, label in pairs:
        numbers = numbers_of(label)
        if first.get(name, numbers[0]) not in numbers:
            raise ValueError(
                f"{path}: regions_class_order: found {first[name]} for {name}, expected one of its "
                f"numbers {', '.join(map(str, numbers))}"
            )
        moved = sorted(numbers, key=lambda number: number != first.get(name, numbers[0]))
        ordered.append((name, moved if len(moved) > 1 else moved[0]))
    return ordered


def _checked(pairs: Sequence[tuple[str, Numbers]], source: str, partial: bool) -> NamedLabels:
    numbers: dict[str, int | list[int]] = {}
    ignore = None
    names: dict[str, str] = {}
    for name, label in pairs:
        _check_name(source, name, names)
        if name.casefold() == BACKGROUND:
            _check_background(source, name, label)
        elif name.casefold() == IGNORE:
            ignore = _ignored_number(source, label)
        else:
            numbers[name] = _label_numbers(source, name, label)
    _check_labels(source, numbers, ignore)
    return NamedLabels(numbers, ignore, source, partial)


def _check_name(source: str, name: str, names: dict[str, str]) -> None:
    if not LABEL_NAME.fullmatch(name):
        raise ValueError(
            f"{source}: the name '{name}'; expected letters, digits, blanks, - and _, beginning "
            "with a letter or a digit, since files are named after it"
        )
    other = names.get(name.casefold())
    if other is not None:
        raise ValueError(
            f"{source}: the names '{other}' and '{name}'; expected each once, and not only in "
            "capitals another"
        )
    names[name.casefold()] = name


def _check_background(source: str, name: str, label: Numbers) -> None:
    if label != 0:
        raise ValueError(f"{source}: {name}: found {label}, expected 0, the number of background")


def _ignored_number(source: str, label: Numbers) -> int:
    if not isinstance(label, int) or not 1 <= label <= MAX_LABEL_NUMBER:
        raise ValueError(
            f"{source}: {IGNORE}: found {label}, expected one number, 1 to {MAX_LABEL_NUMBER}"
        )
    return label


def _label_numbers(source: str, name: str, label: Numbers) -> int | list[int]:
    numbers = numbers_of(label)
    if not all(1 <= n <= MAX_LABEL_NUMBER for n in numbers) or len(set(numbers)) < len(numbers):
        raise ValueError(
            f"{source}: {name}: found {', '.join(map(str, numbers))}, expected numbers from 1 to "
            f"{MAX_LABEL_NUMBER}, each once; 0 is the background"
        )
    return label if isinstance(label, int) else list(label)


def _check_labels(source: str, numbers: Mapping[str, Numbers], ignore: int | None) -> None:
    if not numbers:
        raise ValueError(f"{source}: names no label; expected one besides background and ignore")
    if ignore in all_numbers(numbers):
        raise ValueError(f"{source}: {ignore} is a label and ignored; expected one of the two")
    sets: dict[frozenset[int], str] = {}
    for name, label in numbers.items():
        other = sets.setdefault(frozenset(numbers_of(label)), name)
        if other != name:
            raise ValueError(f"{source}: {name} and {other} have the same numbers; give one name")
    painted_numbers(numbers)
