"""The nuclei of the 2018 Data Science Bowl, from images and instance labels.

Two layouts are read: ``images/NAME.png`` with ``labels/NAME.png``, uint16 with a number for each
nucleus; and the original ``NAME/images/NAME.png`` with one mask for each nucleus in
``NAME/masks``. The set mixes grey fluorescence images, stored as RGB, and colour images of tissue.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.cohort import Cohort, Columns, SourceCase
from pipeline.data.cohorts.pixels import to_rgb
from pipeline.data.readers import read_page


def nuclei(source: Path) -> Cohort:
    """List images, instance labels and masks.

    Each case has the column ``stain``: ``fluorescence`` for grey images, ``tissue`` for colour
    images.

    Args:
        source: folder with ``images`` and ``labels``, or with a folder for each image.

    Raises:
        FileNotFoundError: no image, or an image without its label.
    """
    images = sorted((source / "images").glob("*.png"))
    if images:
        labels = [[source / "labels" / path.name] for path in images]
    else:
        images = sorted(source.glob("*/images/*.png"))
        labels = [sorted((path.parents[1] / "masks").glob("*.png")) for path in images]
    if not images:
        raise FileNotFoundError(
            f"{source}: no PNG image in images/ or */images/; give --source the "
            "folder of the data set"
        )
    return Cohort("nuclei", [_case(*pair) for pair in zip(images, labels, strict=True)])


def _case(image: Path, labels: list[Path]) -> SourceCase:
    if not labels or not labels[0].is_file():
        where = labels[0] if labels else image.parents[1] / "masks"
        raise FileNotFoundError(f"{where}: no label for {image.name}; add it or remove the image")
    name = image.stem
    files = {
        "image": f"images/{name}.png",
        "label": f"labels/{name}.png",
        "instances": f"instances/{name}.png",
    }
    return SourceCase(name, (image, *labels), files, {}, partial(_convert, image, labels))


def _convert(image_path: Path, labels: list[Path]) -> tuple[dict[str, Any], Columns]:
    image = read_page(image_path).array
    instances = _instances(labels, image.shape[:2], image_path.name)
    try:
        pixels = to_rgb(image)
    except ValueError as error:
        raise ValueError(f"{image_path}: {error}") from None
    arrays = {
        "image": pixels,
        "label": np.uint8(255) * (instances > 0),
        "instances": instances,
    }
    grey = bool((pixels == pixels[..., :1]).all())
    return arrays, {"stain": "fluorescence" if grey else "tissue"}


def _instances(labels: list[Path], size: tuple[int, ...], image: str) -> np.ndarray:
    """Number the nuclei; where masks overlap, the later one gets the pixel."""
    pages = [_read_of_size(path, size, image) for path in labels]
    if len(pages) == 1 and labels[0].parent.name == "labels":
        return pages[0].astype(np.uint16)
    instances = np.zeros(size, np.uint16)
    for number, page in enumerate(pages, start=1):
        instances[page > 0] = number
    return instances


def _read_of_size(path: Path, size: tuple[int, ...], image: str) -> np.ndarray:
    page = read_page(path, label=True).array
    if page.ndim == 3 and path.parent.name == "masks":
        page = page[..., 0]
    if page.dtype == bool:
        page = page.astype(np.uint8)
    if page.shape != size or not np.issubdtype(page.dtype, np.integer):
        raise ValueError(
            f"{path}: {page.shape} of {page.dtype}; expected whole numbers of size {size} as "
            f"{image} has"
        )
    return page
