"""Statistics of one case: sizes, values and mask, as the checks and the planner need them."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from nibabel.orientations import io_orientation
from numpy.typing import NDArray
from PIL import Image

from pipeline.data.pixel_hashes import values_sha256
from pipeline.data.readers import DICOM, TIFF, count_pages, read_page, suffix_of
from pipeline.data.volumes import VOLUMES, read_volume

PERCENTILES = (0.5, 50.0, 99.5)
MAX_MASK_VALUES = 32
"""Largest number of different values that a mask may have; they are listed up to here."""
MIN_SMEARED_SHARE = 0.9
"""Smallest share of a mask's pixels near 0 or 255 at which the other values are JPEG's."""
MIN_SMEARED_VALUES = 4
"""Smallest number of values between 0 and 255 that are JPEG's; fewer are classes."""
THUMBNAIL_PIXELS = 32
"""Side of the small picture that is compared to find near-duplicates."""
FLAT_FORMATS = {*TIFF, *DICOM}
"""Formats of volumes that flat images have too."""


class Pixels(NamedTuple):
    """A file's pixels, as it stores them.

    Attributes:
        array: ``(rows, columns)``, ``(rows, columns, channels)``, or ``(X, Y, Z)`` of a volume.
        affine: matrix ``(4, 4)`` of a volume, else ``None``.
    """

    array: NDArray[Any]
    affine: NDArray[np.float64] | None

    @property
    def size(self) -> tuple[int, ...]:
        """Pixels along each axis, without channels."""
        return self.array.shape if self.affine is not None else self.array.shape[:2]

    @property
    def channels(self) -> int:
        """Number of values per pixel."""
        return self.array.shape[2] if self.affine is None and self.array.ndim == 3 else 1


class ImageStatistics(NamedTuple):
    """Statistics of an image.

    Attributes:
        size: pixels along each axis; of a volume left to right, back to front, bottom to top,
            however it is stored.
        channels: number of values per pixel.
        spacing: distance of the pixels, mm, in the same order; empty where the format has none.
        dtype: number format.
        percentiles: 0.5, 50 and 99.5 % of the finite values, all channels together.
        mean: mean of the finite values.
        deviation: standard deviation of the finite values.
        not_finite: number of values that are NaN or infinite.
        values: number of different values, counted up to :data:`MAX_MASK_VALUES` + 1.
        all_equal_channels: whether several channels hold one grey image (alpha aside).
        content: hash of the values, see :func:`pipeline.data.pixel_hashes.values_sha256`.
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
    """Statistics of a mask.

    Attributes:
        size: pixels along each axis.
        values: the different values, at most :data:`MAX_MASK_VALUES` + 1 of them.
        foreground: share of the pixels that are not 0.
        smeared: whether an 8-bit mask has further values close to 0 and 255, as JPEG compression
            leaves them.
        channels: number of values per pixel.
        all_equal_channels: whether several channels hold one mask (alpha aside).
    """

    size: tuple[int, ...]
    values: tuple[float, ...]
    foreground: float
    smeared: bool
    channels: int
    all_equal_channels: bool


class InstanceStatistics(NamedTuple):
    """Numbers of instances in a label.

    Attributes:
        all: number of instances.
        touching: number of instances that touch another one.
    """

    all: int
    touching: int


def read_pixels(path: Path) -> Pixels:
    """Read a flat image or a volume.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the format is unknown, or the file is corrupt.
    """
    suffix = suffix_of(path)
    stack = suffix in TIFF and count_pages(path) > 1
    if path.is_dir() or stack or suffix in set(VOLUMES) - FLAT_FORMATS:
        volume = read_volume(path)
        return Pixels(np.atleast_3d(volume.array), volume.affine)
    page = read_page(path)
    return Pixels(page.astype(np.uint8) if page.dtype == bool else page, None)


def image_statistics(pixels: Pixels) -> ImageStatistics:
    """Compute the statistics of an image."""
    array = pixels.array
    floating = np.issubdtype(array.dtype, np.floating)
    finite = array[np.isfinite(array)] if floating else array.ravel()
    if not finite.size:
        finite = np.zeros(1, array.dtype)
    return ImageStatistics(
        _to_anatomical_order(pixels, pixels.size),
        pixels.channels,
        _to_anatomical_order(pixels, _spacing(pixels)),
        str(array.dtype),
        tuple(float(value) for value in np.percentile(finite, PERCENTILES)),
        float(finite.mean(dtype=np.float64)),
        float(finite.std(dtype=np.float64)),
        int(array.size - finite.size) if floating else 0,
        len(_values(finite)),
        _all_equal_channels(pixels),
        values_sha256(array),
    )


def mask_statistics(pixels: Pixels) -> MaskStatistics:
    """Compute the statistics of a mask."""
    array = pixels.array
    plane = array[..., 0] if pixels.channels > 1 else array
    return MaskStatistics(
        _to_anatomical_order(pixels, pixels.size),
        tuple(float(value) for value in _values(plane.ravel())),
        float(np.count_nonzero(plane) / max(1, plane.size)),
        _is_smeared(plane),
        pixels.channels,
        _all_equal_channels(pixels),
    )


def _all_equal_channels(pixels: Pixels) -> bool:
    colours = pixels.array[..., : 1 if pixels.channels == 2 else 3]  # without alpha
    return pixels.channels > 1 and bool((colours == colours[..., :1]).all())


def _is_smeared(plane: NDArray[Any]) -> bool:
    """Return whether JPEG smeared a mask.

    Instance numbers crowd at 0; a smeared mask has its values at both ends.
    """
    if plane.dtype != np.uint8:
        return False
    counts = np.bincount(plane.ravel(), minlength=256)
    between = np.count_nonzero(counts[1:255])
    ends = counts[:32].sum() + counts[-32:].sum()
    return bool(
        between >= MIN_SMEARED_VALUES
        and counts[-32:].sum() > 0
        and ends >= MIN_SMEARED_SHARE * plane.size
    )


def thumbnail(pixels: Pixels) -> NDArray[np.float32]:
    """Return a small grey picture of mean 0 and length 1; of a volume, its middle slice.

    Returns:
        ``(1024,)``: the 32 x 32 pixels; zeros for a constant image.
    """
    array = pixels.array
    if pixels.affine is not None:
        array = array[..., array.shape[2] // 2]
    elif array.ndim == 3:
        array = array[..., :3].mean(-1)
    plane = np.nan_to_num(array.astype(np.float32))
    small = np.asarray(
        Image.fromarray(plane).resize((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.BOX)
    ).ravel()
    small = small - small.mean()
    length = math.sqrt(float(small @ small))
    unit: NDArray[np.float32] = small / length if length else small
    return unit


def _spacing(pixels: Pixels) -> tuple[float, ...]:
    if pixels.affine is None:
        return ()
    return tuple(round(float(v), 4) for v in np.linalg.norm(pixels.affine[:3, :3], axis=0))


def _to_anatomical_order(pixels: Pixels, axis_values: Sequence[float]) -> tuple[Any, ...]:
    """Put a volume's values into the order left to right, back to front, bottom to top."""
    if pixels.affine is None:
        return tuple(axis_values)
    anatomical_axes = io_orientation(pixels.affine)[:, 0]
    return tuple(axis_values[i] for i in np.argsort(anatomical_axes))


def _values(flat: NDArray[Any]) -> NDArray[Any]:
    """Return the different values, at most :data:`MAX_MASK_VALUES` + 1 of them."""
    if flat.dtype == np.uint8:  # counting is faster than sorting
        return np.flatnonzero(np.bincount(flat, minlength=256))[: MAX_MASK_VALUES + 1]
    return np.unique(flat)[: MAX_MASK_VALUES + 1]
