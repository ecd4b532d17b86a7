"""A volume with its masks, as the script of a page scrolls it."""

import math
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.pages.pictures import embedded, in_bytes

MAX_VOXELS = 2**21
"""Voxels of a volume in a page, 128 x 128 x 128; of a larger one every second, third, … row."""
MAX_NUMBER = 252
"""Of a label or an instance in a page; a multiple of the number of colours, below IGNORED."""
IGNORED = 255
"""Number of the voxels whose truth is not known."""
QUALITY = 80

Number = TypeVar("Number", int, float)


class LayeredVolume(NamedTuple):
    """A volume in a page.

    Attributes:
        image: address of its slices side by side, in grey.
        masks: the same, truth in the red channel and prediction in the green one.
        size: columns, rows, slices that are in the page.
        whole: the same of the file.
        steps: every which column, row and slice is in the page.
        spacing: distance of these columns, rows and slices.
        start: column, row and slice that show most of the masks.
        labels: names of the numbers 1, 2, … in the masks.
        has_truth: whether there is a truth to compare with.
        planes: that are shown.
    """

    image: str
    masks: str
    size: tuple[int, int, int]
    whole: tuple[int, int, int]
    steps: tuple[int, int, int]
    spacing: tuple[float, float, float]
    start: tuple[int, int, int]
    labels: tuple[str, ...]
    has_truth: bool
    planes: tuple[str, ...]

    @property
    def megabytes(self) -> float:
        """What it adds to the page."""
        return (len(self.image) + len(self.masks)) / 1e6


def layered_volume(
    image: NDArray[np.number],
    prediction: NDArray[np.integer],
    truth: NDArray[np.integer] | None,
    labels: tuple[str, ...],
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    planes: tuple[str, ...] = ("axial", "coronal", "sagittal"),
) -> LayeredVolume:
    """Return a volume as a page holds it, a large one with a part of its rows.

    Args:
        image: ``(slices, rows, columns)``; axial slices as a radiologist sees them, feet first.
        prediction: of the same shape, 0 and the numbers of the labels, or of instances, 1, 2, ….
        truth: of the same shape, also :data:`IGNORED`; None: there is none.
        labels: their names.
        spacing: distance of slices, rows and columns.
        planes: that are shown; the name of the first is that of the slices.

    Example:
        >>> masks = np.zeros((3, 4, 5), np.uint8)
        >>> masks[2, 1, 3] = 1
        >>> volume = layered_volume(masks, masks, None, ("tumour",))
        >>> volume.size, volume.start, volume.steps
        ((5, 4, 3), (3, 1, 2), (1, 1, 1))
    """
    steps = _steps(image.shape)
    every = tuple(slice(None, None, step) for step in steps)
    grey = in_bytes(image[every])
    shown = _within_a_byte(prediction[every])
    true = np.zeros_like(shown) if truth is None else truth[every].astype(np.uint8)
    layers = np.stack([true, shown, np.zeros_like(shown)], axis=-1)
    inside = (shown > 0) | ((true > 0) & (true < IGNORED))
    return LayeredVolume(
        image=embedded(Image.fromarray(_side_by_side(grey)), "WEBP", quality=QUALITY),
        masks=embedded(Image.fromarray(_side_by_side(layers)), "PNG", optimize=True),
        size=_turned(grey.shape),
        whole=_turned(image.shape),
        steps=_turned(steps),
        spacing=_turned(tuple(s * step for s, step in zip(spacing, steps, strict=True))),
        start=_turned(_fullest(inside)),
        labels=labels,
        has_truth=truth is not None,
        planes=planes,
    )


def _within_a_byte(numbers: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Let the numbers of many instances begin again at 1, with the colours that they have."""
    return np.where(numbers > MAX_NUMBER, (numbers - 1) % MAX_NUMBER + 1, numbers).astype(np.uint8)


def _steps(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Leave out most along the axes that have most."""
    steps = [1] * len(shape)
    sides = list(shape)
    while math.prod(sides) > MAX_VOXELS:
        longest = sides.index(max(sides))
        steps[longest] += 1
        sides[longest] = -(-shape[longest] // steps[longest])
    return tuple(steps)


def _side_by_side(slices: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay slices in rows of as many as there are rows: no side is longer than a picture may be."""
    across = math.ceil(math.sqrt(len(slices)))
    empty = np.zeros((-len(slices) % across, *slices.shape[1:]), np.uint8)
    tiles = [*slices, *empty]
    rows = [np.hstack(tiles[i : i + across]) for i in range(0, len(tiles), across)]
    return np.vstack(rows)


def _fullest(inside: NDArray[np.bool_]) -> tuple[int, ...]:
    """Return the slice, row and column that hold most of the masks, or the middle ones."""
    if not inside.any():
        return tuple(side // 2 for side in inside.shape)
    others = ((1, 2), (0, 2), (0, 1))
    return tuple(int(np.argmax(np.count_nonzero(inside, axis=axes))) for axes in others)


def _turned(values: tuple[Number, ...]) -> tuple[Number, Number, Number]:
    """From slices, rows, columns to columns, rows, slices, as pictures count."""
    slices, rows, columns = values
    return columns, rows, slices
