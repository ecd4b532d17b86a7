"""The ISBI 2012 challenge's membranes, from its TIFF stacks or a folder of single slices.

``train-volume.tif`` and ``train-labels.tif`` hold one slice a page, 512 x 512 uint8; elsewhere the
slices are PNG files in ``image`` and ``label``. In the labels, 255 is the inside of a cell and 0 a
membrane. The slices are neighbours in one stack.
"""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.cohort import Cohort, Columns, SourceCase
from pipeline.data.readers import count_pages, read_page
from transforms import BinaryMask, GreyImage

VOLUME, LABELS = "train-volume.tif", "train-labels.tif"

Page = tuple[Path, int | None]


def isbi2012(source: Path) -> Cohort:
    """List the slices.

    Args:
        source: folder with the challenge's two training stacks, or with ``image`` and ``label``.

    Raises:
        FileNotFoundError: no such folder, or neither stacks nor slices in it.
        ValueError: a stack is corrupt, or images and labels differ in number.
    """
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such folder; give --source the challenge's folder")
    images, labels = _folders(source) if (source / "image").is_dir() else _stacks(source)
    if len(images) != len(labels):
        for page in (images[-1], *labels[-1:]):
            read_page(*page)  # a truncated stack has lost pages
        raise ValueError(
            f"{labels[0][0] if labels else source}: {len(labels)} labels for {len(images)} images; "
            "expected one label for each image"
        )
    pairs = zip(images, labels, strict=True)
    return Cohort("isbi2012", [_case(i, *pair) for i, pair in enumerate(pairs)])


def _stacks(source: Path) -> list[list[Page]]:
    paths = [source / VOLUME, source / LABELS]
    return [[(path, page) for page in range(count_pages(path))] for path in paths]


def _folders(source: Path) -> list[list[Page]]:
    folders = [source / "image", source / "label"]
    pages: list[list[Page]] = [
        [(path, None) for path in sorted(folder.glob("*.png"), key=_number)] for folder in folders
    ]
    if not pages[0]:
        raise FileNotFoundError(f"{folders[0]}: no PNG slice in this folder")
    return pages


def _number(path: Path) -> tuple[int, str]:
    """Return the last number in the name, so that slice 10 comes after slice 9."""
    digits = re.findall(r"\d+", path.stem)
    return int(digits[-1]) if digits else -1, path.name


def _case(i: int, image: Page, label: Page) -> SourceCase:
    name = f"slice_{i:02d}"
    files = {"image": f"images/{name}.png", "label": f"labels/{name}.png"}
    return SourceCase(
        name, (image[0], label[0]), files, {"slice": i}, partial(_convert, image, label)
    )


def _convert(image: Page, label: Page) -> tuple[dict[str, Any], Columns]:
    pixels, mask = _read_checked(image, GreyImage()), _read_checked(label, BinaryMask())
    if pixels.shape != mask.shape:
        raise ValueError(
            f"{label[0]}: a label of {mask.shape[0]} x {mask.shape[1]} pixels; expected "
            f"{pixels.shape[0]} x {pixels.shape[1]} as {image[0].name} has"
        )
    return {"image": pixels, "label": mask}, {}


def _read_checked(page: Page, check: Callable[[np.ndarray], object]) -> np.ndarray:
    pixels = read_page(*page).array
    try:
        check(pixels[None])
    except ValueError as error:
        place = "" if page[1] is None else f", page {page[1]}"
        raise ValueError(f"{page[0]}{place}: {error}") from None
    return pixels
