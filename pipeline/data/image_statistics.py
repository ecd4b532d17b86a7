"""What one case of a cohort is: its sizes, values and mask, as far as checks and plans ask."""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from nibabel.orientations import io_orientation
from numpy.typing import NDArray
from PIL import Image

from pipeline.data.readers import DICOM, TIFF, count_pages, read_page, suffix_of
from pipeline.data.volumes import VOLUMES, read_volume

PERCENTILES = (0.5, 50.0, 99.5)
MOST_VALUES = 32
"""Values of a mask that are listed; with more it is no mask."""
SMEARED = 0.9
"""Share of a mask's pixels near 0 or 255, from which on the other values are JPEG's."""
LEAST_SMEARED = 4
"""Values between 0 and 255 from which on they are JPEG's; fewer are classes."""
THUMBNAIL = 32
"""Side of the small picture by which near-duplicates are found."""
FLAT = {*TIFF, *DICOM}
"""Formats of volumes that flat images have too."""


class Pixels(NamedTuple):
    """A file as read.

    Attributes:
        array: ``(rows, columns)``, ``(rows, columns, channels)``, or ``(X, Y, Z)`` of a volume.
        affine: ``(4, 4)`` of a volume, else ``None``.
    """

    array: NDArray[Any]
    affine: NDArray[np.float64] | None

    @property
    def size(self) -> tuple[int, ...]:
        """Pixels along each axis, without channels."""
        return self.array.shape if self.affine is not None else self.array.shape[:2]

    @property
    def channels(self) -> int:
        """Values a pixel."""
        return self.array.shape[2] if self.affine is None and self.array.ndim == 3 else 1


class ImageStatistics(NamedTuple):
    """What an image is.

    Attributes:
        size: pixels along each axis; of a volume left to right, back to front, bottom to top,
            however it is stored.
        channels: values a pixel.
        spacing: of the pixels, mm, in the same order; empty where the format does not say.
        dtype: number format.
        percentiles: 0.5, 50 and 99.5 % of the finite values, all channels together.
        mean: of the finite values.
        deviation: standard, of the finite values.
        not_finite: values that are NaN or infinite.
        values: how many different ones, as far as :data:`MOST_VALUES` + 1.
        all_equal_channels: several channels that hold one grey image (alpha aside).
        content: hash of the pixels, whatever the file.
    """

    size: tuple[int, ...]
    channels: int
    spacing: tuple[float, ...]
    dtype: str
    percentiles: tuple[float, ...]
    mean: float
    deviation: float
    not_finite: int
    values: int
    all_equal_channels: bool
    content: str


class MaskStatistics(NamedTuple):
    """What a mask is.

    Attributes:
        size: pixels along each axis.
        values: the different ones, as far as :data:`MOST_VALUES` + 1.
        foreground: share of the pixels that are not 0.
        smeared: 8 bits, with values beside 0 and 255 that lie close to them, as JPEG leaves a mask.
        channels: values a pixel.
        all_equal_channels: several channels that hold one mask (alpha aside).
    """

    size: tuple[int, ...]
    values: tuple[float, ...]
    foreground: float
    smeared: bool
    channels: int
    all_equal_channels: bool


class InstanceStatistics(NamedTuple):
    """How many instances a label has, and how many of them touch another."""

    all: int
    touching: int


def read_pixels(path: Path) -> Pixels:
    """Read a flat image or a volume.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unknown format, or a corrupt file.
    """
    suffix = suffix_of(path)
    stack = suffix in TIFF and count_pages(path) > 1
    if path.is_dir() or stack or suffix in set(VOLUMES) - FLAT:
        volume = read_volume(path)
        return Pixels(np.atleast_3d(volume.array), volume.affine)
    page = read_page(path)
    return Pixels(page.astype(np.uint8) if page.dtype == bool else page, None)


def image_statistics(pixels: Pixels) -> ImageStatistics:
    """Look at an image."""
    array = pixels.array
    floating = np.issubdtype(array.dtype, np.floating)
    finite = array[np.isfinite(array)] if floating else array.ravel()
    if not finite.size:
        finite = np.zeros(1, array.dtype)
    return ImageStatistics(
        _in_space(pixels, pixels.size),
        pixels.channels,
        _in_space(pixels, _spacing(pixels)),
        str(array.dtype),
        tuple(float(value) for value in np.percentile(finite, PERCENTILES)),
        float(finite.mean(dtype=np.float64)),
        float(finite.std(dtype=np.float64)),
        int(array.size - finite.size) if floating else 0,
        len(_values(finite)),
        _all_equal_channels(pixels),
        hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest(),
    )


def mask_statistics(pixels: Pixels) -> MaskStatistics:
    """Look at a mask."""
    array = pixels.array
    plane = array[..., 0] if pixels.channels > 1 else array
    return MaskStatistics(
        _in_space(pixels, pixels.size),
        tuple(float(value) for value in _values(plane.ravel())),
        float(np.count_nonzero(plane) / max(1, plane.size)),
        _smeared(plane),
        pixels.channels,
        _all_equal_channels(pixels),
    )


def _all_equal_channels(pixels: Pixels) -> bool:
    colours = pixels.array[..., : 1 if pixels.channels == 2 else 3]  # without alpha
    return pixels.channels > 1 and bool((colours == colours[..., :1]).all())


def _smeared(plane: NDArray[Any]) -> bool:
    """Numbers of instances crowd at 0; a smeared mask has its values at both ends."""
    if plane.dtype != np.uint8:
        return False
    counts = np.bincount(plane.ravel(), minlength=256)
    between = np.count_nonzero(counts[1:255])
    ends = counts[:32].sum() + counts[-32:].sum()
    return bool(
        between >= LEAST_SMEARED and counts[-32:].sum() > 0 and ends >= SMEARED * plane.size
    )


def thumbnail(pixels: Pixels) -> NDArray[np.float32]:
    """A small grey picture of mean 0 and length 1; of a volume, of its middle slice."""
    array = pixels.array
    if pixels.affine is not None:
        array = array[..., array.shape[2] // 2]
    elif array.ndim == 3:
        array = array[..., :3].mean(-1)
    plane = np.nan_to_num(array.astype(np.float32))
    small = np.asarray(
        Image.fromarray(plane).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    ).ravel()
    small = small - small.mean()
    length = math.sqrt(float(small @ small))
    out: NDArray[np.float32] = small / length if length else small
    return out


def _spacing(pixels: Pixels) -> tuple[float, ...]:
    if pixels.affine is None:
        return ()
    return tuple(round(float(v), 4) for v in np.linalg.norm(pixels.affine[:3, :3], axis=0))


def _in_space(pixels: Pixels, each_axis: Sequence[float]) -> tuple[Any, ...]:
    """Put a volume's numbers into the order left to right, back to front, bottom to top."""
    if pixels.affine is None:
        return tuple(each_axis)
    places = io_orientation(pixels.affine)[:, 0]
    return tuple(each_axis[i] for i in np.argsort(places))


def _values(flat: NDArray[Any]) -> NDArray[Any]:
    """The different values, at most :data:`MOST_VALUES` + 1 of them."""
    if flat.dtype == np.uint8:  # counting is faster than sorting
        return np.flatnonzero(np.bincount(flat, minlength=256))[: MOST_VALUES + 1]
    return np.unique(flat)[: MOST_VALUES + 1]
