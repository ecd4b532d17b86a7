"""The fingerprint of a cohort: what its cases are, one by one and together."""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.data.datalist import FILE_KEYS, SPLITS, columns_of_entry, read_datalist
from pipeline.data.image_statistics import (
    ImageStatistics,
    InstanceStatistics,
    MaskStatistics,
    image_statistics,
    mask_statistics,
    read_pixels,
    thumbnail,
)
from pipeline.files import sha256
from pipeline.metrics.instances import touching

MOST_GROUPS = 12
"""Values of a column that make it a column of groups."""


class CaseStatistics(NamedTuple):
    """What one case is.

    Attributes:
        image_path: its image.
        label_path: its mask.
        split: where it stands; empty before a split.
        columns: what else the datalist says of it.
        image: of the image, unless it cannot be read.
        mask: of the mask, unless it cannot be read.
        instances: where instances are labelled.
        apart: millimetres by which image and mask lie apart at the furthest corner.
        picture: the small picture of :func:`pipeline.data.image_statistics.thumbnail`.
        unreadable: why a file could not be read; empty when all is well.
        changed: files whose hash is not the datalist's.
    """

    image_path: Path
    label_path: Path
    split: str
    columns: Mapping[str, Any]
    image: ImageStatistics | None = None
    mask: MaskStatistics | None = None
    instances: InstanceStatistics | None = None
    apart: float = 0.0
    picture: NDArray[np.float32] | None = None
    unreadable: str = ""
    changed: tuple[Path, ...] = ()


class Listed(NamedTuple):
    """A case before it is looked at: its files, its split, its columns and its files' hashes."""

    image: Path
    label: Path
    instances: Path | None = None
    split: str = ""
    columns: Mapping[str, Any] = {}
    hashes: Mapping[Path, str] = {}


def cohort_cases(folder: Path) -> list[Listed]:
    """List the cases of a cohort's datalist."""
    datalist = read_datalist(folder)
    return [
        Listed(
            datalist.path.parent / entry["image"],
            datalist.path.parent / entry["label"],
            datalist.path.parent / entry["instances"] if "instances" in entry else None,
            split,
            columns_of_entry(entry),
            {
                datalist.path.parent / entry[key]: entry[f"{key}_sha256"]
                for key in FILE_KEYS
                if f"{key}_sha256" in entry
            },
        )
        for split in SPLITS
        for entry in datalist.content.get(split, ())
    ]


def inspect_cases(
    cases: Sequence[Listed], tick: Callable[[], object] = lambda: None, workers: int | None = None
) -> list[CaseStatistics]:
    """Look at every case, several at a time."""

    def one(case: Listed) -> CaseStatistics:
        facts = _facts(case)
        tick()
        return facts

    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        return list(pool.map(one, cases))


def fingerprint(facts: Sequence[CaseStatistics]) -> dict[str, Any]:
    """Put what the cases are together, ready for JSON.

    Ranges are lowest, median and highest over cases.
    """
    images = [case.image for case in facts if case.image]
    masks = [case.mask for case in facts if case.mask]
    instances = [case.instances for case in facts if case.instances]
    out: dict[str, Any] = {
        "cases": len(facts),
        "splits": dict(Counter(case.split for case in facts if case.split)),
        "dimensions": dict(Counter(len(image.size) for image in images)),
        "sizes": _common(image.size for image in images),
        "size_range": _ranges([image.size for image in images]),
        "channels": dict(Counter(image.channels for image in images)),
        "grey_in_colour": sum(image.all_equal_channels for image in images),
        "dtypes": dict(Counter(image.dtype for image in images)),
        "spacing_mm": _ranges([image.spacing for image in images if image.spacing]),
        "intensity_percentiles": {
            "0.5": _range([image.percentiles[0] for image in images]),
            "50": _range([image.percentiles[1] for image in images]),
            "99.5": _range([image.percentiles[2] for image in images]),
        },
        "intensity_mean": _range([image.mean for image in images]),
        "intensity_deviation": _range([image.deviation for image in images]),
        "mask_values": sorted({value for mask in masks for value in mask.values}),
        "foreground": _range([mask.foreground for mask in masks]),
        "likeness": likeness(facts),
        "empty_masks": sum(mask.foreground == 0 for mask in masks),
        "groups": group_table(facts),
        "missing": missing_values(facts),
    }
    if instances:
        out["instances"] = sum(each.all for each in instances)
        out["touching_instances"] = sum(each.touching for each in instances)
    return out


def likeness(facts: Sequence[CaseStatistics]) -> float:
    """Return the mean correlation of the small pictures of any two cases.

    Radiographs and scans of one kind are arranged alike and come out high; micrographs, which show
    any piece of tissue in any direction, come out near 0.
    """
    pictures = [case.picture for case in facts if case.picture is not None]
    n = len(pictures)
    if n < 2:
        return 0.0
    together = np.sum(pictures, axis=0)
    # each picture's correlation with itself, 1, is taken out; a constant one has length 0
    alone = sum(float(picture @ picture) for picture in pictures)
    return round((float(together @ together) - alone) / (n * (n - 1)), 4)


def group_table(facts: Sequence[CaseStatistics]) -> dict[str, dict[str, int]]:
    """Count the values of each column that holds a few, and the range of numbers."""
    table: dict[str, dict[str, int]] = {}
    for name in _column_names(facts):
        values = [case.columns.get(name) for case in facts]
        counts = Counter(str(value) for value in values if value is not None)
        # free text hardly ever repeats, and must not go into a tracking store
        if 0 < len(counts) <= min(MOST_GROUPS, counts.total() / 2):
            table[name] = dict(sorted(counts.items()))
    return table


def missing_values(facts: Sequence[CaseStatistics]) -> dict[str, int]:
    """Count the cases that lack a column's value, for each column that some case has."""
    counts = {
        name: sum(case.columns.get(name) is None for case in facts) for name in _column_names(facts)
    }
    return {name: count for name, count in counts.items() if count}


def _column_names(facts: Sequence[CaseStatistics]) -> list[str]:
    return sorted({name for case in facts for name in case.columns if name != "patient"})


def _facts(case: Listed) -> CaseStatistics:
    blank = CaseStatistics(case.image, case.label, case.split, case.columns)
    try:
        image = read_pixels(case.image)
        label = read_pixels(case.label)
        instances = read_pixels(case.instances) if case.instances else None
    except (ValueError, OSError) as error:
        return blank._replace(unreadable=str(error))
    changed = tuple(path for path, known in case.hashes.items() if sha256(path) != known)
    counted = None
    if instances is not None:
        numbers = np.unique(instances.array)
        counted = InstanceStatistics(int((numbers > 0).sum()), touching(instances.array))
    return blank._replace(
        image=image_statistics(image),
        mask=mask_statistics(label),
        instances=counted,
        apart=_apart(image.affine, label.affine, image.size),
        picture=thumbnail(image),
        changed=changed,
    )


def _apart(
    first: NDArray[np.float64] | None, second: NDArray[np.float64] | None, size: tuple[int, ...]
) -> float:
    if first is None or second is None:
        return 0.0
    corners = np.array(np.meshgrid(*[(0, side - 1) for side in size], [1])).reshape(4, -1)
    return float(np.abs((first - second) @ corners).max())


def _common(values: Any, most: int = 5) -> dict[str, int]:
    counts = Counter(" x ".join(map(str, value)) for value in values)
    return dict(counts.most_common(most))


def _range(values: Sequence[float]) -> list[float]:
    if not values:
        return []
    return [round(float(v), 4) for v in (min(values), float(np.median(values)), max(values))]


def _ranges(rows: Sequence[Sequence[float]]) -> list[list[float]]:
    if not rows or len({len(row) for row in rows}) > 1:
        return []
    return [_range(column) for column in zip(*rows, strict=True)]
