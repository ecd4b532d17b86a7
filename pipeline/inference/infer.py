"""Inferring a folder of images, each on its own: a bad one does not stop the others."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from monai.data import DataLoader, Dataset
from monai.engines import Evaluator

from pipeline.claims import claim
from pipeline.data.readers import files_of, first_path
from pipeline.errors import reason_line
from pipeline.files import shown
from pipeline.inference.engine import engine_remark
from pipeline.inference.label_tables import ITK_SNAP, SLICER, write_label_tables
from pipeline.inference.page import PAGE, write_inference_page
from pipeline.inference.report import InferenceCase
from pipeline.inference.room import check_room_for
from pipeline.inference.writer import WritePredictions
from pipeline.next_command import print_next_page
from pipeline.plain_text import plain_line
from pipeline.progress import count, track

EXIT_FAILED = 3
"""Exit code of an inference of which some images failed."""
MAX_LINE_CHARACTERS = 2000
"""Of what is printed of an image, whose name and header are not ours."""


def infer(evaluator: Evaluator, writer: WritePredictions) -> None:
    """Infer every image of an evaluator's data set, write what is predicted, and a report.

    An image that cannot be read or inferred is named, and the others are done. Images that were
    made before, by the same model and settings, are left as they are.

    Args:
        evaluator: MONAI's evaluator; its handlers include the writer.
        writer: of predictions and report.

    Raises:
        SystemExit: with code 3, an image failed; the report and the last lines name it.
        ValueError: another inference writes to the folder, or the disk has no room for all masks.
    """
    with claim(writer.folder):
        _infer_folder(evaluator, writer)


def _infer_folder(evaluator: Evaluator, writer: WritePredictions) -> None:
    dataset = evaluator.data_loader.dataset
    cases = group_pages(dataset.data)
    page = writer.places.contained(writer.folder / PAGE, PAGE)
    for name in (PAGE, ITK_SNAP, SLICER):  # they are of masks that are about to be replaced
        writer.places.contained(writer.folder / name, name).unlink(missing_ok=True)
    todo = writer.report.begin(cases)
    try:
        if todo:
            check_room_for(writer, todo)
            print(_begin_line(writer, todo), flush=True)
            remark = engine_remark(writer.report.settings["engine"], writer.model.record.engines)
            print(remark, end="\n" * bool(remark), flush=True)
        for case in track(todo, "segmenting", len(todo), "image"):
            infer_case(evaluator, writer, case, dataset.transform)
    finally:
        writer.report.write()
    if any(".nii" in file for entry in writer.report.entries for file in entry["files"]):
        write_label_tables(writer.folder, writer.labels, writer.colours)
    write_inference_page(page, writer.report, cases, writer.labels)
    for line in writer.report.lines():
        print(plain_line(line, MAX_LINE_CHARACTERS))
    print(f"report      {shown(page)}")
    print_next_page(page)
    if writer.report.failed:
        print(
            f"{len(writer.report.failed)} of {len(todo)} images failed; mend them, and call again"
        )
        raise SystemExit(EXIT_FAILED)


def _begin_line(writer: WritePredictions, cases: Sequence[InferenceCase]) -> str:
    settings = writer.report.settings
    stacks = [len(case.entries) for case in cases if len(case.entries) > 1]
    pages = f" ({count(sum(stacks), 'page')} in {count(len(stacks), 'file')}, one by one)"
    return (
        f"segmenting {count(len(cases), 'image')}{pages if stacks else ''} with "
        f"{shown(settings['model'])} at threshold {writer.report.stated_threshold()}, mean of "
        f"{count(settings['tta_versions'], 'version')}, on {writer.report.further['device']} "
        f"by {settings['engine']}"
    )


def group_pages(entries: Sequence[Mapping[str, Any]]) -> list[InferenceCase]:
    """Group the entries of a data set by their file.

    Example:
        >>> cases = group_pages([{"image": "a.tif#0"}, {"image": "a.tif#1"}, {"image": "b.png"}])
        >>> [(case.path.name, len(case.entries)) for case in cases]
        [('a.tif', 2), ('b.png', 1)]
    """
    return [
        InferenceCase(path, pages, tuple(files_of(pages[0]["image"])))
        for path, pages in ((p, list(pages)) for p, pages in groupby(entries, _path_of))
    ]


def _path_of(entry: Mapping[str, Any]) -> Path:
    return first_path(entry["image"])


def infer_case(
    evaluator: Evaluator, writer: WritePredictions, case: InferenceCase, transform: Any
) -> None:
    """Infer one image, and write what is predicted; one that cannot be is named in the report.

    Args:
        evaluator: MONAI's evaluator; its handlers include the writer.
        writer: of predictions and report.
        case: the image.
        transform: preprocessing of an image.

    Raises:
        OSError: the disk, which fails for every image.
    """
    try:
        writer.start(case)
        evaluator.data_loader = DataLoader(Dataset(case.entries, transform), batch_size=1)
        evaluator.state.epoch_length = len(case.entries)
        with _without_error_log(evaluator):
            evaluator.run()
    except Exception as error:
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            raise
        reason = reason_line(error)
        named = reason if case.path.name in reason else f"{case.path}: {reason}"
        writer.fail(case, named)
    finally:
        evaluator.state.batch = evaluator.state.output = None  # a volume holds gigabytes


@contextmanager
def _without_error_log(evaluator: Evaluator) -> Iterator[None]:
    """Ignite logs an exception that it passes on; the report names it."""
    level = evaluator.logger.level
    evaluator.logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        evaluator.logger.setLevel(level)
