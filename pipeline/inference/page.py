"""The page that a person looks at after an inference: masks of images without a truth."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.data.label_numbers import LabelNumbers
from pipeline.inference.input_check import NOT_CHECKED
from pipeline.inference.previews import Preview, preview
from pipeline.inference.report import EMPTY, FULL, Entry, InferenceCase, InferenceReport
from pipeline.inference.structures import SIZE_UNITS
from pipeline.pages import write_page
from pipeline.progress import track

PAGE = "report.html"
MAX_PICTURES, MAX_VOLUMES = 48, 6
"""Images that are drawn; a volume takes as much of the page as thirty pictures."""
MAX_ROWS = 300
"""Images in the table; ``run_report.json`` lists all."""
MAX_FLAGS = 3
"""Flags below a picture."""
COVERAGE_WORDS = {EMPTY: "the mask is empty", FULL: "the mask covers the whole image"}


class ShownImage(NamedTuple):
    """An image of the page.

    Attributes:
        entry: of the report.
        flags: why a person should look at it first.
        preview: its picture; None: it is in the table alone.
    """

    entry: Entry
    flags: list[str]
    preview: Preview | None


class StructureRange(NamedTuple):
    """A size of a structure over images: median, smallest and largest."""

    name: str
    unit: str
    median: float
    low: float
    high: float


def write_inference_page(
    path: Path, report: InferenceReport, cases: Sequence[InferenceCase], labels: LabelNumbers
) -> None:
    """Write the page of an inference: flagged images first, pictures of some, a row for each.

    Args:
        path: of the page, in the folder of the masks.
        report: of the inference.
        cases: its images.
        labels: name of each label and its number or numbers in the masks.
    """
    ordered = sorted(report.entries, key=lambda entry: not flags_of(entry))
    drawn = _drawn(ordered, {case.name: case for case in cases}, report.folder, labels)
    images = [
        ShownImage(entry, flags_of(entry), drawn.get(str(entry["image"]))) for entry in ordered
    ]
    volumes = [image for image in images if image.preview and image.preview.volume]
    write_page(
        path,
        "pipeline.inference",
        "report.html.jinja",
        report=report,
        images=images[:MAX_ROWS],
        total=len(images),
        flagged=sum(bool(image.flags) for image in images),
        is_unchecked=any(NOT_CHECKED in entry.get("differences", ()) for entry in ordered),
        volumes=volumes,
        pictures=[image for image in images if image.preview and not image.preview.volume],
        not_shown=len(images) - len(drawn),
        structures=structure_ranges(report.entries),
        max_flags=MAX_FLAGS,
        units=SIZE_UNITS,
        scrolls_volumes=bool(volumes),
    )


def flags_of(entry: Mapping[str, Any]) -> list[str]:
    """Return why a person should look at an image first; empty: there is no reason.

    Example:
        >>> flags_of({"coverage": "empty", "differences": ["sides 64"]})
        ['the mask is empty', 'sides 64']
    """
    coverage = COVERAGE_WORDS.get(entry["coverage"])
    differences = [line for line in entry.get("differences", ()) if line != NOT_CHECKED]
    return [*([coverage] if coverage else []), *differences]


def structure_ranges(entries: Sequence[Entry]) -> list[StructureRange]:
    """Return the range of each structure's size, in the unit that most images have.

    Example:
        >>> sizes = [{"lung": {"pixels": n}} for n in (10, 30, 20)]
        >>> structure_ranges([{"structures": size} for size in sizes])
        [StructureRange(name='lung', unit='pixels', median=20.0, low=10.0, high=30.0)]
    """
    ranges = []
    stated = [entry["structures"] for entry in entries if "structures" in entry]
    for name in dict.fromkeys(name for sizes in stated for name in sizes):
        own = [sizes[name] for sizes in stated if name in sizes]
        unit = next(unit for unit in SIZE_UNITS if unit in own[0])
        values = [size[unit] for size in own if unit in size]
        ranges.append(StructureRange(name, unit, *map(float, np.percentile(values, [50, 0, 100]))))
    return ranges


def _drawn(
    entries: Sequence[Entry],
    cases: Mapping[str, InferenceCase],
    folder: Path,
    labels: LabelNumbers,
) -> dict[str, Preview]:
    """Draw the first images, and of those with several slices fewer."""
    chosen: list[Entry] = []
    volumes = 0
    for entry in entries:
        many = "voxels" in entry or entry.get("pages", 1) > 1
        if (many and volumes == MAX_VOLUMES) or len(chosen) == MAX_PICTURES:
            continue
        volumes += many
        chosen.append(entry)
    names = [str(entry["image"]) for entry in chosen]
    work = track(list(zip(names, chosen, strict=True)), "drawing", len(chosen), "image")
    return {name: preview(cases[name], entry, folder, labels) for name, entry in work}
