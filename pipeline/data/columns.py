"""Whether the columns of a table can group its rows."""

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
"""One image: its scores, ``patient``, and its group columns."""


def check_list(key: str, value: object) -> None:
    """Refuse one word where a list of words belongs; its letters would be taken for them.

    Raises:
        ValueError: it is one word.
    """
    if isinstance(value, str):
        raise ValueError(f"{key}: found '{value}', expected a list, as [sex, finding]")


def check_columns(rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Refuse group columns that cannot group.

    Raises:
        ValueError: a column that an image lacks, or that has one value.
    """
    for name in columns:
        lacking = [row for row in rows if row.get(name) is None]
        if len(lacking) == len(rows):
            known = sorted({key for row in rows for key in row})
            raise ValueError(f"group column '{name}': no image has it; columns: {', '.join(known)}")
        if lacking:
            raise ValueError(
                f"group column '{name}': {len(lacking)} of {len(rows)} images lack it, as "
                f"{lacking[0].get('image', 'the first')}; fill it in, or leave the column out"
            )
        if len({row[name] for row in rows}) == 1:
            raise ValueError(
                f"group column '{name}': every image has '{rows[0][name]}'; nothing to compare"
            )
