"""A cohort on its way to disk: its cases are written in parallel, resumed, then split."""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from pipeline.data.datalist import write_datalist
from pipeline.data.splits import Splits
from pipeline.files import atomic, write_json

Columns = dict[str, Any]
"""What is known of a case beside its files: patient, sex, finding, …."""


class SourceCase(NamedTuple):
    """One case of a data set, not yet written.

    Attributes:
        name: of its files, without suffix; unique in the cohort.
        sources: the original files; when one of them changes the case is written anew.
        files: each key (``image``, ``label``, …) with the path below the cohort's folder.
        columns: what is known of it.
        convert: reads the originals; returns the array of each key, and columns found in them.
    """

    name: str
    sources: tuple[Path, ...]
    files: dict[str, str]
    columns: Columns
    convert: Callable[[], tuple[dict[str, Any], Columns]]


class Cohort(NamedTuple):
    """A data set, listed and not yet written.

    Attributes:
        name: of the data set.
        cases: all of it, in order.
        group: the column whose equal values must not stand in two splits; ``None``: each case is
            its own group.
        strata: columns whose values every split should hold in the same proportion.
        remarks: what a user should know: cases left out, values that could not be read, ….
    """

    name: str
    cases: list[SourceCase]
    group: str | None = None
    strata: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


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

    The files are made in a hidden folder beside it, which becomes the folder when all is well. One
    that was interrupted stays there, and the next call goes on where it stopped.

    Args:
        cohort: what to write.
        folder: a new one.
        split: gives the indices of each split, from the columns of all cases.
        description: what else stands at the top of the datalist: seed, kind of split, ….
        settings: on which the arrays of a case depend, beside its originals.
        tick: called after each case, to show progress.
        workers: cases that are written at a time; by default one for each core.

    Raises:
        FileExistsError: ``folder`` exists and is not empty.
        ValueError: an original is corrupt or not as expected, or two cases have one name.
    """
    folder = Path(folder).resolve()
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
    write_datalist(partial, listed, name=cohort.name, **description)
    shutil.rmtree(marks)
    _remove_unlisted(cohort.cases, partial)
    if folder.exists():
        folder.rmdir()
    partial.rename(folder)


def save_image(path: Path, array: np.ndarray) -> None:
    """Save a two-dimensional image as PNG, atomically; a tenth larger than need be, for speed."""
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
    # cases begin in order, so of several mistakes the first in the cohort is always known by now
    return [future.result() for future in futures]


def _write(case: SourceCase, folder: Path, settings: Sequence[Any]) -> Columns:
    """Write one case, unless it is there, from the same originals by the same settings."""
    mark = folder / "written" / f"{case.name}.json"
    made_from = {"sources": _stamps(case.sources), "settings": list(settings), "files": case.files}
    if mark.is_file():
        written = json.loads(mark.read_text("utf-8"))
        if written["made_from"] == made_from:
            return {**case.columns, **written["columns"]}
    arrays, found = case.convert()
    for key, array in arrays.items():
        path = folder / case.files[key]
        if callable(array):
            with atomic(path) as temporary:
                array(temporary)
        else:
            save_image(path, array)
    write_json(mark, {"made_from": made_from, "columns": found})
    return {**case.columns, **found}


def _stamps(sources: Sequence[Path]) -> list[list[Any]]:
    """What changes when an original does; of a folder, every file in it."""
    files = [
        each for path in sources for each in (sorted(path.iterdir()) if path.is_dir() else [path])
    ]
    return [[str(path), path.stat().st_mtime_ns, path.stat().st_size] for path in files]


def _remove_unlisted(cases: Sequence[SourceCase], folder: Path) -> None:
    """An original that is gone since an interruption must not stay in the cohort."""
    listed = {folder / name for case in cases for name in case.files.values()}
    for path in folder.rglob("*"):
        if path.is_file() and path not in listed and path.name != "datalist.json":
            path.unlink()


def _entry(case: SourceCase, columns: Columns) -> dict[str, Any]:
    return {**case.files, **columns}
