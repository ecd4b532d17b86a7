"""Choosing DICOM series by their tags."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.data.dicom_header import read_tags
from pipeline.data.series import ImageSeries, series_table


class Condition(NamedTuple):
    """One condition on a tag.

    Attributes:
        keyword: DICOM keyword of the tag, for example ``SeriesDescription``.
        value: text to compare with, in lower case.
        contains: whether the tag must contain the text; else it must equal it.
    """

    keyword: str
    value: str
    contains: bool

    def holds(self, path: Path) -> bool:
        """Return whether the tag of a DICOM file meets the condition."""
        element = read_tags(path, (self.keyword, "SOPClassUID")).get(self.keyword)
        text = _text(element).strip().lower()
        return self.value in text if self.contains else self.value == text


def parse_selection(text: str) -> list[Condition]:
    """Read a selection: ``=`` is equal, ``~`` is contains, a comma is *and*; case is ignored.

    Raises:
        ValueError: not conditions, or no DICOM keyword.

    Example:
        >>> parse_selection("Modality=MR,SeriesDescription~T1")[1]
        Condition(keyword='SeriesDescription', value='t1', contains=True)
    """
    return [_parse_condition(text, part) for part in text.split(",")]


def select_series(series: Sequence[ImageSeries], selection: str | None) -> list[ImageSeries]:
    """Return the series whose first file meets a selection; ``None``: all.

    Raises:
        ValueError: as :func:`parse_selection`, or no series meets it; the message lists them.
    """
    if selection is None:
        return list(series)
    conditions = parse_selection(selection)
    chosen = [one for one in series if all(part.holds(one.files[0]) for part in conditions)]
    if series and not chosen:
        raise ValueError(
            f"--series {selection}: none of the {len(series)} series meets it; expected one of "
            f"these:\n{series_table(series)}"
        )
    return chosen


def _parse_condition(text: str, part: str) -> Condition:
    from pydicom.datadict import keyword_dict

    match = re.fullmatch(r"\s*(\w+)\s*([=~])\s*(.*?)\s*", part)
    if match is None:
        raise ValueError(
            f"--series {text}: '{part}' is no condition; expected KEYWORD=VALUE or KEYWORD~PART, "
            "as Modality=MR,SeriesDescription~T1"
        )
    keyword, sign, value = match.groups()
    if keyword not in keyword_dict:
        near = difflib.get_close_matches(keyword, keyword_dict, n=1, cutoff=0.0)
        raise ValueError(
            f"--series {text}: '{keyword}' is no DICOM keyword; the nearest is {near[0]}"
        )
    return Condition(keyword, value.lower(), sign == "~")


def _text(element: object) -> str:
    """Return a tag's value as DICOM writes it: several values are divided by backslashes."""
    from pydicom.multival import MultiValue

    if isinstance(element, MultiValue):
        return "\\".join(map(str, element))
    return "" if element is None else str(element)
