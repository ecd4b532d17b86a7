"""Contact sheet of a cohort: one picture of small images with the outlines of their masks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.segmentation import find_boundaries

from pipeline.data.fingerprint import CaseStatistics
from pipeline.data.pixels import Pixels
from pipeline.data.readers import read_pixels
from pipeline.data.slices import view_of
from pipeline.files import atomic
from pipeline.pages import in_bytes
from transforms.whole_numbers import whole_numbers

TILE_PIXELS, TILES_PER_ROW, MAX_TILES = 192, 6, 24
OUTLINES = {
    "orange": (255, 140, 0),
    "blue": (60, 150, 255),
    "green": (70, 210, 90),
    "magenta": (250, 80, 250),
    "yellow": (255, 235, 60),
    "red": (255, 50, 50),
}
"""Colours of the outlines, of the lowest number of the masks first."""


def contact_sheet(cases: Sequence[CaseStatistics], path: Path) -> int:
    """Write a picture of up to 24 cases, spread evenly over the cohort.

    The outlines of several labels have the colours of :func:`outline_colours`. A volume is shown by
    its slice with the largest mask. Cases that cannot be read, or whose mask
    has another size, are left out.

    Args:
        cases: statistics of the cases.
        path: file of the picture.

    Returns:
        The number of cases in the picture.
    """
    whole = [case for case in cases if case.image and case.mask]
    fitting = [case for case in whole if case.image and case.image.size == _mask_size(case)]
    if not fitting:
        return 0
    chosen = np.unique(np.linspace(0, len(fitting) - 1, MAX_TILES).astype(int))
    colours = outline_colours(cases)
    tiles = [_tile(fitting[i], colours) for i in chosen]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % TILES_PER_ROW)
    rows = [np.hstack(tiles[i : i + TILES_PER_ROW]) for i in range(0, len(tiles), TILES_PER_ROW)]
    with atomic(path) as temporary:
        Image.fromarray(np.vstack(rows)).save(temporary)
    return len(chosen)


def outline_colours(cases: Sequence[CaseStatistics]) -> dict[int, str]:
    """Return the colour of the outline of each number in the masks.

    Returns:
        Nothing where no mask holds two labels, or there are more than colours: all outlines are of
        the first colour.
    """
    masks = [{int(value) for value in case.mask.values if value} for case in cases if case.mask]
    numbers = sorted(set().union(*masks))
    if max(map(len, masks), default=0) < 2 or len(numbers) > len(OUTLINES):
        return {}
    return dict(zip(numbers, OUTLINES, strict=False))


def _mask_size(case: CaseStatistics) -> tuple[int, ...]:
    return case.mask.size if case.mask else ()


def _tile(case: CaseStatistics, colours: Mapping[int, str]) -> NDArray[np.uint8]:
    image, mask = _plane(read_pixels(case.image_path), read_pixels(case.label_path, label=True))
    grey = _fit_tile(in_bytes(image), Image.Resampling.BOX)
    numbers = whole_numbers(mask)
    places = np.uint8(1) * (numbers != 0)
    for place, number in enumerate(colours, 1):
        places[numbers == number] = place
    places = _fit_tile(places, Image.Resampling.NEAREST)
    outlines = np.where(find_boundaries(places, mode="inner"), places, 0)
    tile = np.repeat(grey[..., None], 3, axis=-1)
    for place, colour in enumerate(OUTLINES.values(), 1):
        tile[outlines == place] = colour
    tile[[0, -1]] = tile[:, [0, -1]] = 0
    return tile


def _plane(image: Pixels, mask: Pixels) -> tuple[NDArray[Any], NDArray[Any]]:
    if image.affine is None or mask.affine is None:
        flat = mask.array if mask.array.ndim == 2 else mask.array[..., 0]
        return image.array if image.channels == 1 else image.array[..., :3].mean(-1), flat
    slices, masks = (_slices(pixels) for pixels in (image, mask))
    z = int(np.argmax(np.count_nonzero(masks, axis=(1, 2))))
    return slices[z], masks[z]


def _slices(pixels: Pixels) -> NDArray[Any]:
    """Return the slices, ``(slices, rows, columns)``, of the first channel of a volume."""
    array = pixels.array if pixels.channels == 1 else pixels.array[..., 0]
    assert pixels.affine is not None
    return view_of(pixels.size, pixels.affine).slices(array)


def _fit_tile(plane: NDArray[np.uint8], resample: Image.Resampling) -> NDArray[np.uint8]:
    """Fit a plane into a square tile and keep its proportions."""
    scale = (TILE_PIXELS - 4) / max(plane.shape)
    rows, columns = (max(1, round(side * scale)) for side in plane.shape)
    tile = np.zeros((TILE_PIXELS, TILE_PIXELS), np.uint8)
    top, left = (TILE_PIXELS - rows) // 2, (TILE_PIXELS - columns) // 2
    small = Image.fromarray(plane).resize((columns, rows), resample)
    tile[top : top + rows, left : left + columns] = np.asarray(small)
    return tile
