"""Tables of group columns."""

import csv
from collections.abc import Sequence
from pathlib import Path

from pipeline.data.datalist import FILE_KEYS


def read_table(path: Path, required: Sequence[str]) -> list[dict[str, str]]:
    """Read a CSV table as one dictionary for each row.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not UTF-8 text, a required column is missing, two columns have the same name or
            one has a name that the datalist uses for files, or a row has another number of fields
            than the heading.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such table")
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8 text; save it as CSV in UTF-8") from None
    heading, *rows = list(csv.reader(lines)) or [[]]
    for name in required:
        if name not in heading:
            raise ValueError(
                f"{path}: no column '{name}'; expected {', '.join(required)}, found "
                f"{', '.join(heading) or 'nothing'}"
            )
    taken = [name for name in heading if name in FILE_KEYS or name.endswith("_sha256")]
    for name in {*taken, *(name for name in heading if heading.count(name) > 1)} - {*required}:
        raise ValueError(f"{path}: column '{name}': the name is already used; rename the column")
    out = []
    for number, row in enumerate(rows, start=2):
        if len(row) != len(heading):
            raise ValueError(
                f"{path}, line {number}: {len(row)} fields; expected {len(heading)} as the heading"
            )
        out.append(dict(zip(heading, row, strict=True)))
    return out
