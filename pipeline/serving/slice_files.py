"""The labelled slices of a volume as cases of a cohort of flat images."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.cohorts.channel_files import write_flat_channels
from pipeline.data.cohorts.dicom_cases import save_tiff
from pipeline.data.label_numbers import LabelNumbers
from pipeline.data.readers import read_page, read_pages
from pipeline.files import atomic
from pipeline.serving.cohort_files import save_png
from pipeline.serving.geometry import to_pages
from pipeline.serving.images import ServedImage

SLICES = "slices"


def is_sliced(image: ServedImage) -> bool:
    """Return whether an image is a volume that the bundle segments slice by slice."""
    return len(image.case.entries) > 1


def save_slices(
    image: ServedImage, numbers: NDArray[Any], labels: LabelNumbers, folder: Path, stem: Path
) -> list[dict[str, str]]:
    """Write the slices in which something is labelled, and their labels.

    A slice without a label is left out: whether it was looked at is not known, and it must not
    teach that there is nothing in it.

    Args:
        image: the volume.
        numbers: of the labels, ``(X, Y, Z)``.
        labels: number or numbers of each label.
        folder: of the cohort; the images go to ``slices/NAME-slice-PAGE.tif``, of
            several channels as OME-TIFF.
        stem: path of the label without suffix, and folder of those of the slices.

    Returns:
        ``image`` and ``label`` of each slice in the cohort.

    Raises:
        ValueError: a slice cannot be read.
        OSError: it cannot be written.
    """
    try:
        return list(_saved(image, to_pages(numbers, image.path), labels, folder, stem))
    except BaseException:
        shutil.rmtree(stem, ignore_errors=True)
        raise


def _saved(
    image: ServedImage, pages: NDArray[Any], labels: LabelNumbers, folder: Path, stem: Path
) -> Iterator[dict[str, str]]:
    for number in map(int, np.flatnonzero(pages.any(axis=(1, 2)))):
        name = f"{image.file_name}-slice-{number:04d}"
        suffix = ".ome.tif" if image.channels else ".tif"
        target, label = folder / SLICES / f"{name}{suffix}", stem / f"{name}.png"
        _copy(image, number, target)
        save_png(label, pages[number], labels)
        yield {
            "image": str(target.relative_to(folder).as_posix()),
            "label": str(label.relative_to(folder).as_posix()),
        }


def _copy(image: ServedImage, number: int, target: Path) -> None:
    """Copy a slice, unless it is there."""
    names = image.case.entries[number]["image"]
    pixels = read_pages([names] if isinstance(names, str) else names)
    if not target.exists():
        with atomic(target, durable=True) as temporary:
            if image.channels:
                write_flat_channels(pixels, image.channels, temporary)
            else:
                save_tiff(pixels, temporary)
    elif not np.array_equal(read_page(target).array, pixels.array):
        raise ValueError(
            f"{image.id}: the cohort has another slice of this name, {target}; rename the image, "
            "or give another --data"
        )
