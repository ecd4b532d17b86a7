"""The Shenzhen chest X-rays with lung masks.

``CXR_png/NAME.png`` (originally about 3000 pixels a side and up to four channels),
``mask/NAME_mask.png``, and the clinical readings: one text file for each image in
``ClinicalReadings``, as published, or a table ``clinical_readings.csv``.
"""

import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.data.cohort import Cohort, Columns, SourceCase
from pipeline.data.cohorts.pixels import resize, resize_mask, to_grey
from pipeline.data.cohorts.tables import read_table
from pipeline.data.readers import read_page

TABLE = "clinical_readings.csv"
AGE = re.compile(r"(\d+)(?:\.\d+)?\s*(y|m|w|d|$)", re.IGNORECASE)
COLUMNS = {"sex": "sex", "age": "age", "findings": "finding"}
"""Columns of the table, and the group columns that they become."""
UNITS_PER_YEAR = {"": 1, "y": 1, "m": 12, "w": 52, "d": 365}
"""Number of years, months, weeks and days in a year."""
SEXES = {"male": "male", "m": "male", "female": "female", "f": "female"}
DIAGNOSES = {"0": "normal", "1": "abnormal", "0.0": "normal", "1.0": "abnormal"}


class Reading(NamedTuple):
    """The part of a clinical reading that the cohort keeps; ``None`` is missing.

    Attributes:
        sex: ``male`` or ``female``.
        age: age in whole years.
        diagnosis: ``normal`` or ``abnormal``; the text of the reading is left out. In the cohort
            it is the group column ``finding``.
    """

    sex: str | None
    age: int | None
    diagnosis: str | None

    @property
    def columns(self) -> Columns:
        """Group columns of the cohort."""
        return {"sex": self.sex, "age": self.age, "finding": self.diagnosis}


def shenzhen(source: Path, size: int | None = None) -> Cohort:
    """List the images that have a mask, with sex, age and finding as group columns.

    Args:
        source: folder of the data set.
        size: side of the square images that are written, in pixels; None: copies of the files.

    Raises:
        FileNotFoundError: no image, or no readings.
    """
    if size is not None and size < 16:
        raise ValueError(f"--size {size}: expected at least 16 pixels")
    images = sorted((source / "CXR_png").glob("*.png"))
    if not images:
        raise FileNotFoundError(
            f"{source / 'CXR_png'}: no PNG image; give --source the folder of the data set"
        )
    readings, absent = _read_readings(source)
    cases, remarks = (
        [],
        [f"{TABLE}: no column '{name}'; there are no groups by it" for name in absent],
    )
    present = [name for column, name in COLUMNS.items() if column not in absent]
    for path in images:
        mask = source / "mask" / f"{path.stem}_mask.png"
        if mask.is_file():
            reading = readings.get(path.stem, Reading(None, None, None))
            missing = [name for name in present if reading.columns[name] is None]
            if missing:
                remarks.append(f"{path.name}: no readable {' and '.join(missing)}")
            cases.append(_case(path, mask, reading, size))
    listed = len(set(readings) | {path.stem for path in images})
    dropped = listed - len(cases)
    remarks.insert(0, f"{listed} readings or images, {dropped} without a mask or image left out")
    return Cohort("shenzhen", cases, "patient", ("sex", "finding"), tuple(remarks))


def parse(sex: str, age: str, diagnosis: str) -> Reading:
    """Parse the fields of a reading; a field that cannot be parsed is None.

    Example:
        >>> parse("Female ", "45yrs", "normal")
        Reading(sex='female', age=45, diagnosis='normal')
        >>> parse("male", "?", "bilateral PTB")
        Reading(sex='male', age=None, diagnosis='abnormal')
        >>> parse("1", "8 months", "")
        Reading(sex=None, age=0, diagnosis=None)
    """
    match = AGE.match(age.strip())
    years = int(match[1]) // UNITS_PER_YEAR[match[2].lower()] if match else None
    return Reading(
        SEXES.get(sex.strip().lower()), years, _parse_diagnosis(diagnosis.strip().lower())
    )


def _parse_diagnosis(text: str) -> str | None:
    if text in ("", "?", "na", "nan", "unknown"):
        return None
    return DIAGNOSES.get(text) or ("normal" if text.startswith("normal") else "abnormal")


def _read_readings(source: Path) -> tuple[dict[str, Reading], list[str]]:
    """Return the reading of each image, and the columns that the table does not have."""
    table, texts = source / TABLE, source / "ClinicalReadings"
    if table.is_file():
        rows = read_table(table, ["study_id"])
        absent = [name for name in COLUMNS if rows and name not in rows[0]]
        return {
            Path(row["study_id"]).stem: parse(*(row.get(name, "") for name in COLUMNS))
            for row in rows
        }, absent
    if texts.is_dir():
        return {path.stem: _read_text(path) for path in sorted(texts.glob("*.txt"))}, []
    raise FileNotFoundError(f"{source}: neither {table.name} nor {texts.name}; add one of them")


def _read_text(path: Path) -> Reading:
    """Parse sex and age from the first line, and the finding from the following lines."""
    lines = path.read_text("utf-8", errors="replace").splitlines() or [""]
    sex, _, age = lines[0].replace(",", " ").strip().partition(" ")
    return parse(sex, age, " ".join(lines[1:]))


def _case(image: Path, mask: Path, reading: Reading, size: int | None) -> SourceCase:
    name = image.stem
    files = {"image": f"images/{name}.png", "label": f"labels/{name}.png"}
    columns = {"patient": name, **reading.columns}
    return SourceCase(name, (image, mask), files, columns, partial(_convert, image, mask, size))


def _convert(image: Path, mask: Path, size: int | None) -> tuple[dict[str, Any], Columns]:
    pixels, label = to_grey(read_page(image).array), to_grey(read_page(mask, label=True).array)
    if pixels.shape != label.shape:
        raise ValueError(
            f"{mask}: {label.shape[0]} x {label.shape[1]} pixels; expected {pixels.shape[0]} x "
            f"{pixels.shape[1]} as {image.name} has"
        )
    values = set(np.unique(label).tolist())
    if not values <= {0, 1} and not values <= {0, 255}:
        raise ValueError(f"{mask}: a mask with {len(values)} values; expected 0 and 255")
    if size is None:
        copies = {"image": image, "label": mask}
        return {key: partial(shutil.copyfile, path) for key, path in copies.items()}, {}
    return {"image": resize(pixels, size), "label": resize_mask(label > 0, size)}, {}
