"""The fingerprint of a cohort: statistics of each case, and their summary."""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.data.datalist import SPLITS, read_datalist
from pipeline.data.dicom_labels.mask import DicomMask
from pipeline.data.foreground import (
    ForegroundSample,
    foreground_intensities,
    sample_foreground,
)
from pipeline.data.image_statistics import (
    ImageStatistics,
    InstanceStatistics,
    MaskStatistics,
    image_statistics,
    mask_statistics,
    thumbnail,
)
from pipeline.data.pixels import Pixels
from pipeline.data.readers import read_pixels, stack_channels
from pipeline.files import sha256
from pipeline.metrics.instances import touching
from transforms.places import Grid, offset
from transforms.whole_numbers import whole_numbers

MAX_GROUPS = 12
"""Largest number of different values in a column of groups."""

MAX_PICTURES = 300
"""Pictures that are compared in pairs; of more, these many are spread evenly."""


class CaseStatistics(NamedTuple):
    """Statistics of one case.

    Attributes:
        image_path: file of the image.
        label_path: file of the mask.
        split: name of the split that holds the case; empty before a split.
        columns: further columns of the datalist.
        image: statistics of the image; ``None`` if a file cannot be read.
        mask: statistics of the mask; ``None`` if a file cannot be read.
        instances: numbers of instances; ``None`` where they are not labelled.
        offset: distance between image and mask, voxels, at the corner where it is largest; 0 where
            a format has no place, or their sizes differ.
        picture: small picture by :func:`pipeline.data.image_statistics.thumbnail`.
        foreground: voxels inside the mask, see
            :func:`pipeline.data.foreground.sample_foreground`.
        unreadable: reason why a file could not be read; empty if all could.
        changed: files whose hash differs from the datalist's.
    """

    image_path: Path
    label_path: Path
    split: str
    columns: Mapping[str, Any]
    image: ImageStatistics | None = None
    mask: MaskStatistics | None = None
    instances: InstanceStatistics | None = None
    offset: float = 0.0
    picture: NDArray[np.float32] | None = None
    foreground: ForegroundSample | None = None
    unreadable: str = ""
    changed: tuple[Path, ...] = ()


class Listed(NamedTuple):
    """A case before its inspection.

    Attributes:
        image: file of the image.
        label: file of the mask.
        instances: file of the numbered instances; ``None`` where they are not labelled.
        split: name of the split that holds the case; empty before a split.
        columns: further columns of the datalist.
        hashes: SHA-256 of each file, as the datalist records it.
        channels: further images of the case, each a channel.
        mask: how the mask is read of a DICOM file of labels; ``None``: it is an image.
    """

    image: Path
    label: Path
    instances: Path | None = None
    split: str = ""
    columns: Mapping[str, Any] = {}
    hashes: Mapping[Path, str] = {}
    channels: tuple[Path, ...] = ()
    mask: DicomMask | None = None


def cohort_cases(folder: Path) -> list[Listed]:
    """List the cases of a cohort's datalist."""
    datalist = read_datalist(folder)
    root = datalist.path.parent
    return [
        Listed(
            root / entry.image,
            root / entry.label,
            root / entry.instances if entry.instances else None,
            split,
            entry.columns,
            {
                root / file: entry.hashes[key]
                for key, file in entry.files().items()
                if key in entry.hashes
            },
        )
        for split in SPLITS
        for entry in datalist.listed(split)
    ]


def inspect_cases(
    cases: Sequence[Listed], tick: Callable[[], object] = lambda: None, workers: int | None = None
) -> list[CaseStatistics]:
    """Compute the statistics of every case.

    Args:
        cases: cases to inspect.
        tick: function to call after each case, for a progress bar.
        workers: number of threads; by default one per CPU core.
    """

    def inspect(case: Listed) -> CaseStatistics:
        statistics = _inspect_case(case)
        tick()
        return statistics

    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        return list(pool.map(inspect, cases))


def fingerprint(statistics: Sequence[CaseStatistics], ignore: int | None = None) -> dict[str, Any]:
    """Summarise the statistics of all cases, ready for JSON.

    Ranges are the lowest, the median and the highest value over cases. ``extent_mm`` is a case's
    number of voxels along each axis times their spacing; ``foreground_extent`` is that of the
    smallest box around the foreground, in pixels, and ``foreground_extent_mm`` in mm.

    Args:
        statistics: statistics of each case.
        ignore: number in the masks that is neither foreground nor background.
    """
    images = [case.image for case in statistics if case.image]
    masks = [case.mask for case in statistics if case.mask]
    instances = [case.instances for case in statistics if case.instances]
    # a pixel size that only some files state is not that of the cohort
    placed = images if all(image.spacing for image in images) else []
    spacings = [image.spacing for image in placed]
    summary: dict[str, Any] = {
        "cases": len(statistics),
        "splits": dict(Counter(case.split for case in statistics if case.split)),
        "dimensions": dict(Counter(len(image.size) for image in images)),
        "sizes": _common(image.size for image in images),
        "size_range": _ranges([image.size for image in images]),
        "channels": dict(Counter(image.channels for image in images)),
        "colour": sum(image.colour for image in images),
        "grey_in_colour": sum(image.all_equal_channels for image in images),
        "dtypes": dict(Counter(image.dtype for image in images)),
        "spacing_mm": _ranges(spacings),
        "spacing_percentiles_mm": {"10": _percentiles(spacings, 10)},
        "extent_mm": _ranges([_in_mm(image.size, image) for image in placed]),
        "intensity_percentiles": {
            "0.5": _range([image.percentiles[0] for image in images]),
            "50": _range([image.percentiles[1] for image in images]),
            "99.5": _range([image.percentiles[2] for image in images]),
        },
        "intensity_mean": _range([image.mean for image in images]),
        "intensity_deviation": _range([image.deviation for image in images]),
        "foreground_intensities": foreground_intensities(_training_foreground(statistics, ignore)),
        "mask_values": sorted({value for mask in masks for value in mask.values}),
        "foreground": _range([_foreground(mask, ignore) for mask in masks]),
        "foreground_extent": _ranges([mask.extent for mask in masks]),
        "foreground_extent_mm": _ranges(
            [
                _in_mm(case.mask.extent, case.image)
                for case in statistics
                if case.mask and case.image
            ]
            if placed
            else []
        ),
        "likeness": likeness(statistics),
        "empty_masks": sum(mask.foreground == 0 for mask in masks),
        "groups": group_table(statistics),
        "missing": missing_values(statistics),
    }
    if instances:
        summary["instances"] = sum(count.all for count in instances)
        summary["touching_instances"] = sum(count.touching for count in instances)
    return summary


def _training_foreground(
    statistics: Sequence[CaseStatistics], ignore: int | None
) -> list[NDArray[np.float32]]:
    """Return the intensities inside the masks, before a split of all cases, then of training's."""
    return [
        case.foreground.without(ignore)
        for case in statistics
        if case.split in ("", "training") and case.foreground is not None
    ]


def likeness(statistics: Sequence[CaseStatistics]) -> float:
    """Return how much the small pictures of two cases are alike: the lower quartile over all pairs.

    Radiographs and scans of one kind are arranged alike: nearly all pairs correlate. Micrographs
    show any piece of tissue in any direction: their value is near 0. Neighbouring slices of one
    block are alike without being arranged alike; they are few among all pairs, which the mean would
    not forgive.
    """
    pictures = [case.picture for case in statistics if case.picture is not None]
    if len(pictures) < 2:
        return 0.0
    spread = np.linspace(0, len(pictures) - 1, min(len(pictures), MAX_PICTURES)).astype(int)
    some = np.stack([pictures[index] for index in spread])
    pairs = (some @ some.T)[np.triu_indices(len(some), 1)]
    return round(float(np.quantile(pairs, 1 / 4)), 4)


def group_table(statistics: Sequence[CaseStatistics]) -> dict[str, dict[str, int]]:
    """Count the cases of each value, for each column of at most :data:`MAX_GROUPS` values."""
    table: dict[str, dict[str, int]] = {}
    for name in _column_names(statistics):
        values = [case.columns.get(name) for case in statistics]
        counts = Counter(str(value) for value in values if value is not None)
        # free text, which hardly ever repeats, must not go into a tracking store
        if 0 < len(counts) <= min(MAX_GROUPS, counts.total() / 2):
            table[name] = dict(sorted(counts.items()))
    return table


def missing_values(statistics: Sequence[CaseStatistics]) -> dict[str, int]:
    """Count the cases that lack a column's value, for each column that some case has."""
    counts = {
        name: sum(case.columns.get(name) is None for case in statistics)
        for name in _column_names(statistics)
    }
    return {name: count for name, count in counts.items() if count}


def _column_names(statistics: Sequence[CaseStatistics]) -> list[str]:
    return sorted({name for case in statistics for name in case.columns if name != "patient"})


def _inspect_case(case: Listed) -> CaseStatistics:
    blank = CaseStatistics(case.image, case.label, case.split, case.columns)
    try:
        images = [(str(path), read_pixels(path)) for path in (case.image, *case.channels)]
        image = stack_channels(images)
        label = case.mask.read() if case.mask else read_pixels(case.label, label=True)
        counts = _count_instances(case.instances) if case.instances else None
    except (ValueError, OSError) as error:
        return blank._replace(unreadable=str(error))
    changed = tuple(path for path, digest in case.hashes.items() if sha256(path) != digest)
    return blank._replace(
        image=image_statistics(image),
        mask=mask_statistics(label),
        instances=counts,
        offset=_offset(image, label),
        picture=thumbnail(image),
        foreground=sample_foreground(image, label),
        changed=changed,
    )


def _count_instances(path: Path) -> InstanceStatistics:
    numbers = whole_numbers(read_pixels(path, label=True).array)
    wrong = np.count_nonzero(~((numbers >= 0) & (numbers % 1 == 0)))
    if wrong:
        raise ValueError(
            f"{path}: {wrong} pixels with fractions, negative values or NaN; expected whole "
            "numbers of instances, 0 for the background"
        )
    return InstanceStatistics(int((np.unique(numbers) > 0).sum()), touching(numbers))


def _offset(image: Pixels, label: Pixels) -> float:
    if image.affine is None or label.affine is None:
        return 0.0
    grids = [Grid.turned(pixels.size, pixels.affine) for pixels in (image, label)]
    return offset(*grids) if grids[0].shape == grids[1].shape else 0.0


def _foreground(mask: MaskStatistics, ignore: int | None) -> float:
    if ignore is None or ignore not in mask.values:
        return mask.foreground
    pixels = sum(mask.counts) + mask.not_finite
    ignored = mask.pixels()[ignore]
    return (mask.foreground * pixels - ignored) / max(1, pixels - ignored)


def _common(values: Any, max_values: int = 5) -> dict[str, int]:
    counts = Counter(" x ".join(map(str, value)) for value in values)
    return dict(counts.most_common(max_values))


def _range(values: Sequence[float]) -> list[float]:
    if not values:
        return []
    return [round(float(v), 4) for v in (min(values), float(np.median(values)), max(values))]


def _ranges(rows: Sequence[Sequence[float]]) -> list[list[float]]:
    if not rows or len({len(row) for row in rows}) > 1:
        return []
    return [_range(column) for column in zip(*rows, strict=True)]


def _percentiles(rows: Sequence[Sequence[float]], percent: float) -> list[float]:
    """Return a percentile of each column, in the cases where :func:`_ranges` has ranges."""
    if not _ranges(rows):
        return []
    return [round(float(np.percentile(column, percent)), 4) for column in zip(*rows, strict=True)]


def _in_mm(sides: Sequence[int], image: ImageStatistics) -> list[float]:
    return [side * mm for side, mm in zip(sides, image.spacing, strict=True)]
