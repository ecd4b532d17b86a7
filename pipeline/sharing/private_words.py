"""The words that say whose images trained a model: names, numbers, dates, notes, file names."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.data.datalist import FILE_KEYS, HASH_SUFFIX
from pipeline.data.suffixes import stem_of
from pipeline.sharing.dicom_text import HeaderText
from pipeline.sharing.embedded_text import embedded_texts

MIN_WORD_CHARACTERS = 4
"""Shorter words are not searched for: they appear in any text."""
MAX_WORD_CHARACTERS = 1000
"""Longer texts are searched for line by line."""
NAMING_KEYS = {*FILE_KEYS, "patient"}
"""Keys of a datalist whose values name a case."""
NUMBER = re.compile(r"[+-]?\d{0,5}([.,]\d*)?")
"""An age, a size, a grade: numbers that identify nobody. Longer ones are identifiers."""
DATE = re.compile(r"(\d{4})[-./]?(\d\d)[-./]?(\d\d)(?=\D|\d{6}|$)")
FIELD_END = re.compile(r"[\r\n\0;|=:]+")


class Statement(NamedTuple):
    """What a cohort says of a patient.

    Attributes:
        patient: of whom; an image of an unknown patient stands for one.
        text: what it says.
        origin: where, as ``column born``.
        naming: whether it names the patient, whoever else has the same.
    """

    patient: str
    text: str
    origin: str
    naming: bool


def private_words(
    content: Mapping[str, Any], published: Sequence[str] = (), folder: Path | None = None
) -> dict[str, str]:
    """List the words of a cohort that name a patient or describe one, each with its origin.

    What several patients share, as ``female``, identifies nobody, unless it is a name, an
    identifier or free text. Nor does a short number, as an age. Neither is searched for. All images
    of one patient count once.

    Args:
        content: the datalist.
        published: columns whose values may leave, since the groups are counted by them.
        folder: folder of the cohort, whose files are read for text beside the pixels; None: the
            datalist alone.

    Raises:
        ValueError: a file cannot be read; names it.

    Example:
        >>> case = {"image": "images/meier_1.png", "patient": 48291733, "note": "fell at home"}
        >>> sorted(private_words({"training": [case | {"age": 57.25}]}))
        ['48291733', 'fell at home', 'images/meier_1.png', 'meier_1', 'meier_1.png']
    """
    cases = [
        (str(entry.get("patient", f"image {split} {i}")), entry)
        for split, entries in content.items()
        if isinstance(entries, list)
        for i, entry in enumerate(entries)
        if isinstance(entry, Mapping)
    ]
    statements = [one for patient, case in cases for one in _of_case(patient, case, published)]
    statements += _of_folders(cases)
    if folder is not None:
        statements += _of_files(cases, folder)
    patients: dict[str, set[str]] = defaultdict(set)
    for statement in statements:
        patients[statement.text].add(statement.patient)
    return {
        statement.text: statement.origin
        for statement in statements
        if len(statement.text.strip()) >= MIN_WORD_CHARACTERS
        and (statement.naming or _identifies(statement.text, len(patients[statement.text])))
    }


def _identifies(text: str, patients: int) -> bool:
    return patients == 1 and not NUMBER.fullmatch(text)


def _of_case(
    patient: str, case: Mapping[str, Any], published: Sequence[str]
) -> Iterator[Statement]:
    for key, value in case.items():
        if key in published or key.endswith(HASH_SUFFIX):
            continue
        for text in _values(value):
            is_text = isinstance(text, str)
            naming = key in NAMING_KEYS or (is_text and " " in text.strip())
            origin = f"{key} in the datalist"
            for word in (*_names(text), *_dates(text)) if is_text else (str(text),):
                yield Statement(patient, word, origin, naming)


def _of_folders(cases: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[Statement]:
    """Yield the folders of files, but those that all files of a kind share, as ``images``."""
    for key in FILE_KEYS:
        folders = [
            (patient, {part for name in _values(case[key]) for part in Path(name).parent.parts})
            for patient, case in cases
            if key in case
        ]
        shared = set[str].intersection(*(parts for _, parts in folders)) if folders else set()
        for patient, parts in folders:
            for part in parts - shared:
                yield Statement(patient, part, f"a folder of the {key} files", naming=False)


def _of_files(cases: Sequence[tuple[str, Mapping[str, Any]]], folder: Path) -> list[Statement]:
    """Return what the files of cases say, each file read once."""
    owners = {
        str(folder / name): patient
        for patient, case in cases
        for key in FILE_KEYS
        for name in _values(case.get(key))
    }
    with ThreadPoolExecutor() as pool:
        texts = pool.map(embedded_texts, owners)
        return [
            statement
            for (file, patient), headers in zip(owners.items(), texts, strict=True)
            for header in headers
            for statement in _of_header(patient, Path(file).name, header)
        ]


def _of_header(patient: str, file: str, header: HeaderText) -> Iterator[Statement]:
    origin = f"{header.kind} of {file}"
    lines = [header.text] if len(header.text) <= MAX_WORD_CHARACTERS else []
    for word in (*lines, *_persons(header.text), *_dates(header.text)):
        yield Statement(patient, word, origin, header.naming and not NUMBER.fullmatch(word))
    for piece in FIELD_END.split(header.text[: 100 * MAX_WORD_CHARACTERS]):
        words = piece.split()
        if len(words) > 1 or any(letter.isdigit() for letter in piece):
            yield Statement(patient, piece.strip()[:MAX_WORD_CHARACTERS], origin, naming=False)


def _persons(text: str) -> Iterator[str]:
    """Yield the ways in which a name of DICOM, ``family^given^…``, may be written."""
    for name in text.split("="):
        family, *given = name.split("^")
        if given and given[0]:
            yield f"{family} {given[0]}"
            yield f"{given[0]} {family}"


def _dates(text: str) -> Iterator[str]:
    """Yield the ways in which a date may be written.

    Example:
        >>> list(_dates("1970-01-31"))
        ['1970-01-31', '19700131', '1970/01/31', '31.01.1970', '31/01/1970', '01/31/1970']
    """
    if date := DATE.match(text):
        year, month, day = date.groups()
        if 1 <= int(month) <= 12 and 1 <= int(day) <= 31:
            yield from (f"{year}-{month}-{day}", f"{year}{month}{day}", f"{year}/{month}/{day}")
            yield from (f"{day}.{month}.{year}", f"{day}/{month}/{year}", f"{month}/{day}/{year}")


def _names(text: str) -> tuple[str, str, str]:
    path = Path(text)
    return text, path.name, stem_of(path)


def _values(value: Any) -> Iterator[Any]:
    """Yield the texts and numbers of a value, whatever holds them."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _values(item)
    elif isinstance(value, list):
        for item in value:
            yield from _values(item)
    elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
        yield value
