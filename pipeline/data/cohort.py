"""Writing a cohort to disk: its cases in parallel, resumed after an interruption, then split."""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from pipeline.claims import claim
from pipeline.data.datalist import write_datalist
from pipeline.data.dicom_labels.mask import DicomMask
from pipeline.data.identity import hash_pixels
from pipeline.data.label_numbers import Numbers
from pipeline.data.series import headers_of, is_series
from pipeline.data.splits import Splits
from pipeline.files import atomic, write_json, write_text

SALT_FILE = "salt"
"""File of the salt beside the datalist; it is never packed."""
GIT_IGNORE = ".gitignore"
"""File that keeps all images of a cohort out of git."""

Columns = dict[str, Any]
"""Group columns of a case: patient, sex, finding, …."""


class SourceCase(NamedTuple):
    """One case of a data set, not yet written.

    Attributes:
        name: name of its files, without suffix; unique in the cohort.
        sources: original files; when one of them changes, the case is written again.
        files: path of the file of each key (``image``, ``label``, …), relative to the cohort.
        columns: its group columns.
        convert: function that reads the originals and returns the array of each key, and the
            columns that it read from them.
        mask: how the mask is read of a DICOM file of labels, the last original; ``None``: that is
            an image.
    """

    name: str
    sources: tuple[Path, ...]
    files: dict[str, str]
    columns: Columns
    convert: Callable[[], tuple[dict[str, Any], Columns]]
    mask: DicomMask | None = None


class Cohort(NamedTuple):
    """A data set, listed and not yet written.

    Attributes:
        name: name of the data set.
        cases: all cases, in order.
        group: column whose equal values must stay in one split; ``None``: each case is a group.
        strata: columns whose values every split should hold in the same proportion.
        remarks: lines for the user: cases left out, values that could not be read, ….
        salt: of the pseudonyms of DICOM patients; empty: there are none.
        modality: ``CT``, ``MR``, …; empty if it is not known.
        channels: names of the images of a case, in the order of its file's channels; empty: a case
            has one image.
        labels: number of each structure of DICOM files of labels, or the numbers of a region, by
            name; empty: the masks are images.
    """

    name: str
    cases: list[SourceCase]
    group: str | None = None
    strata: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    salt: str = ""
    modality: str = ""
    channels: tuple[str, ...] = ()
    labels: Mapping[str, Numbers] = {}


def write_cohort(
    cohort: Cohort,
    folder: Path,
    split: Callable[[Sequence[Columns]], Splits],
    description: Mapping[str, Any],
    settings: Sequence[Any] = (),
    tick: Callable[[], object] = lambda: None,
    workers: int | None = None,
) -> None:
    """Write every case and the datalist to a new folder.

    The files are written to a hidden folder next to it, which is renamed when all of them are
    there. After an interruption the hidden folder stays, and the next call continues from it.

    Args:
        cohort: cohort to write.
        folder: new folder.
        split: function that returns the indices of each split, given the columns of all cases.
        description: further keys at the top of the datalist: seed, kind of split, ….
        settings: settings on which the arrays of a case depend, besides its originals.
        tick: function called after each case, to show progress.
        workers: cases written at a time; by default one for each core.

    Raises:
        FileExistsError: ``folder`` exists and is not empty.
        ValueError: an original is corrupt or not as expected, two cases have the same name, or
            another process writes this cohort.
    """
    folder = Path(folder).resolve()
    with claim(folder):
        _write_cohort(cohort, folder, split, description, settings, tick, workers)


def _write_cohort(
    cohort: Cohort,
    folder: Path,
    split: Callable[[Sequence[Columns]], Splits],
    description: Mapping[str, Any],
    settings: Sequence[Any],
    tick: Callable[[], object],
    workers: int | None,
) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder}: exists and is not empty; give another --out or remove it")
    _check_names(cohort.cases)
    partial = folder.with_name(f".{folder.name}.partial")
    marks = partial / "written"
    marks.mkdir(parents=True, exist_ok=True)
    columns = _write_all(
        cohort.cases, partial, [cohort.name, *settings], tick, workers or os.cpu_count() or 1
    )
    splits = split(columns)
    listed = {
        name: [_entry(cohort.cases[i], columns[i]) for i in indices]
        for name, indices in splits.items()
    }
    content = {
        "name": cohort.name,
        **({"modality": cohort.modality} if cohort.modality else {}),
        **({"channels": list(cohort.channels)} if cohort.channels else {}),
    }
    write_datalist(partial, listed, **content, **description)
    shutil.rmtree(marks)
    _remove_unlisted(cohort.cases, partial)
    if cohort.salt:
        # with it the same patient gets the same pseudonym; it never leaves the cohort's folder
        write_text(partial / SALT_FILE, f"{cohort.salt}\n")
    write_text(partial / GIT_IGNORE, "*\n")
    if folder.exists():
        folder.rmdir()
    partial.rename(folder)


def save_image(path: Path, array: np.ndarray) -> None:
    """Save a two-dimensional image as PNG, atomically; compressed fast, so a tenth larger."""
    with atomic(path) as temporary:
        Image.fromarray(np.ascontiguousarray(array)).save(temporary, compress_level=1)


def _check_names(cases: Sequence[SourceCase]) -> None:
    seen: dict[str, SourceCase] = {}
    for case in cases:
        other = seen.setdefault(case.name, case)
        if other is not case:
            raise ValueError(
                f"{case.sources[0]}: would be written as {case.name} like {other.sources[0]}; "
                "rename one"
            )


def _write_all(
    cases: Sequence[SourceCase],
    folder: Path,
    settings: Sequence[Any],
    tick: Callable[[], object],
    workers: int,
) -> list[Columns]:
    def write(case: SourceCase) -> Columns:
        columns = _write(case, folder, settings)
        tick()
        return columns

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(write, case) for case in cases]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            pool.shutdown(cancel_futures=True)
    # cases start in order: if several fail, the error raised is that of the first in the cohort
    return [future.result() for future in futures]


def _write(case: SourceCase, folder: Path, settings: Sequence[Any]) -> Columns:
    """Write one case, unless it was written from the same originals with the same settings."""
    mark = folder / "written" / f"{case.name}.json"
    made_from = {"sources": _stamps(case.sources), "settings": list(settings), "files": case.files}
    if case.mask:
        made_from["rule"] = list(case.mask.rule)
    if mark.is_file():
        written = json.loads(mark.read_text("utf-8"))
        if written["made_from"] == made_from:
            return {**case.columns, **written["columns"]}
    arrays, read_columns = case.convert()
    for key, array in arrays.items():
        path = folder / case.files[key]
        if callable(array):
            with atomic(path) as temporary:
                array(temporary)
        else:
            save_image(path, array)
    _check_readable(case, folder)
    write_json(mark, {"made_from": made_from, "columns": read_columns})
    return {**case.columns, **read_columns}


def _check_readable(case: SourceCase, folder: Path) -> None:
    """Refuse an original that was copied and cannot be read; the datalist takes the hashes."""
    for key, file in case.files.items():
        try:
            hash_pixels(folder / file, label=key != "image")
        except ValueError as error:
            source = case.sources[0 if key == "image" else -1]
            raise ValueError(str(error).replace(str(folder / file), str(source))) from None


def _stamps(sources: Sequence[Path]) -> list[list[Any]]:
    """Path, time and size of every original, which change when it does; for a series, its files."""
    files = [
        file
        for path in sources
        for file in ([header.path for header in headers_of(path)] if is_series(path) else [path])
    ]
    return [[str(path), path.stat().st_mtime_ns, path.stat().st_size] for path in files]


def _remove_unlisted(cases: Sequence[SourceCase], folder: Path) -> None:
    """Remove what was written from originals that are gone since an interruption."""
    listed = {folder / name for case in cases for name in case.files.values()}
    for path in folder.rglob("*"):
        if path.is_file() and path not in listed and path.name != "datalist.json":
            path.unlink()


def _entry(case: SourceCase, columns: Columns) -> dict[str, Any]:
    return {**case.files, **columns}
