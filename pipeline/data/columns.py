"""Checks that the columns of a table can group its rows."""

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
"""One image: its scores, ``patient``, and its group columns."""


def check_list(key: str, value: object) -> None:
    """Refuse a string where a list of strings is expected: its letters would be the items.

    Raises:
        ValueError: ``value`` is a string.
    """
    if isinstance(value, str):
        raise ValueError(f"{key}: found '{value}', expected a list, as [sex, finding]")


def check_columns(rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Refuse group columns that cannot group.

    Raises:
        ValueError: an image lacks a column, or a column has the same value for every image.
    """
    for name in columns:
        missing = [row for row in rows if row.get(name) is None]
        if len(missing) == len(rows):
            names = sorted({key for row in rows for key in row})
            raise ValueError(f"group column '{name}': no image has it; columns: {', '.join(names)}")
        if missing:
            raise ValueError(
                f"group column '{name}': {len(missing)} of {len(rows)} images lack it, as "
                f"{missing[0].get('image', 'the first')}; fill it in, or leave the column out"
            )
        if len({row[name] for row in rows}) == 1:
            raise ValueError(
                f"group column '{name}': every image has '{rows[0][name]}'; nothing to compare"
            )
