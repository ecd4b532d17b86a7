"""The table of all inferences on a machine: a row for each image, nobody is named."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.database import Database
from pipeline.files import shown
from pipeline.inference.pseudonyms import OWNER_ONLY, salt_beside, study_pseudonym

VARIABLE = "UNET_SCHOOL_INFERENCES"
"""Environment variable that names the table; where it is not set, nothing is recorded."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS inferences (
    time REAL NOT NULL, study TEXT NOT NULL, bundle TEXT NOT NULL, model TEXT NOT NULL,
    engine TEXT NOT NULL, seconds REAL NOT NULL, flags TEXT NOT NULL, measured TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_model ON inferences (model, time);
"""
COLUMNS = "time, study, bundle, model, engine, seconds, flags, measured"


@dataclass(frozen=True)
class Inference:
    """A row of the table: an image that was segmented, or that could not be.

    Attributes:
        time: when, in seconds since 1970.
        study: pseudonym of the study, as the log makes it.
        bundle: name of the bundle.
        model: hash of the model.
        engine: that computed it.
        seconds: that it took.
        flags: ``empty``, ``full``, ``unlike``, ``failed``.
        measured: of the image and its structures, by name; no image and no name of anybody.
    """

    time: float
    study: str
    bundle: str
    model: str
    engine: str
    seconds: float
    flags: tuple[str, ...]
    measured: Mapping[str, float]


class InferenceTable:
    """The table in a file of SQLite, which several processes may write.

    Args:
        path: of the file; it is made where it is absent, for its owner alone.

    Raises:
        ValueError: the file is no such table.
        OSError: it cannot be written.

    Example:
        >>> import tempfile
        >>> table = InferenceTable(Path(tempfile.mkdtemp()) / "inferences.db")
        >>> table.add(Inference(0.0, "s1", "lungs", "ab", "float32", 0.5, ("empty",), {"mean": 9}))
        >>> [(row.study, row.flags, row.measured) for row in table.of_model("ab")]
        [('s1', ('empty',), {'mean': 9})]
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(0o700, parents=True, exist_ok=True)
        try:
            path.touch(OWNER_ONLY)
        except OSError as error:
            raise OSError(
                f"{shown(path)}: cannot be written ({error.strerror}); make it writable, or name "
                f"another table in {VARIABLE}"
            ) from None
        self.path = path
        self._database = Database(path, SCHEMA, "table of inferences")

    def add(self, row: Inference) -> None:
        """Add a row.

        Raises:
            OSError: the table cannot be written.
        """
        values = {**vars(row), "flags": ",".join(row.flags), "measured": json.dumps(row.measured)}
        names = ", ".join(f":{name}" for name in COLUMNS.split(", "))
        with self._database.transaction() as connection:
            connection.execute(f"INSERT INTO inferences ({COLUMNS}) VALUES ({names})", values)

    def of_model(self, model: str) -> list[Inference]:
        """Return the rows of a model, in the order of their time."""
        query = f"SELECT {COLUMNS} FROM inferences WHERE model = ? ORDER BY time, rowid"
        return [_row(values) for values in self._database.rows(query, (model,))]

    def models(self) -> dict[str, int]:
        """Return the number of rows of each model."""
        rows = self._database.rows("SELECT model, count(*) FROM inferences GROUP BY model")
        return {str(model): int(number) for model, number in rows}

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _row(values: Sequence[Any]) -> Inference:
    by_name = dict(zip(COLUMNS.split(", "), values, strict=True))
    flags = tuple(filter(None, by_name.pop("flags").split(",")))
    return Inference(flags=flags, measured=json.loads(by_name.pop("measured")), **by_name)


class InferenceRecorder:
    """Adds a row for each image that ``infer``, ``pacs watch`` or ``serve`` has segmented.

    The table is the file that :data:`VARIABLE` names. The pseudonym of a study is made as in
    :class:`pipeline.inference.log.InferenceLog`, with a salt beside the table, ``TABLE.salt``.

    Raises:
        ValueError: the file is no such table.
        OSError: the table cannot be written; nothing is segmented without it.
    """

    def __init__(self) -> None:
        name = os.environ.get(VARIABLE)
        self.table = InferenceTable(Path(name).absolute()) if name else None

    def add(
        self,
        image: Path,
        settings: Mapping[str, Any],
        seconds: float,
        flags: Sequence[str],
        measured: Mapping[str, float],
    ) -> None:
        """Add the row of an image; nothing where no table is wanted.

        Args:
            image: file, or reference of a DICOM series.
            settings: of the inference, as its report has them.
            seconds: that it took.
            flags: what is worth a look.
            measured: of the image and its structures.

        Raises:
            OSError: the table cannot be written.
        """
        if self.table is None:
            return
        row = Inference(
            time=time.time(),
            study=study_pseudonym(image, salt_beside(self.table.path)),
            bundle=str(settings.get("bundle", "")),
            model=settings["model_sha256"],
            engine=settings["engine"],
            seconds=round(seconds, 3),
            flags=tuple(flags),
            measured=dict(measured),
        )
        self.table.add(row)
