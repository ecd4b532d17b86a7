"""Statistics of one case: sizes, values and mask, as the checks and the planner need them."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from nibabel.orientations import io_orientation
from numpy.typing import NDArray
from PIL import Image

from pipeline.data.pixel_hashes import values_sha256
from pipeline.data.pixels import Pixels
from transforms.whole_numbers import whole_numbers

PERCENTILES = (0.5, 50.0, 99.5)
MAX_MASK_VALUES = 32
"""Largest number of different values that a mask of unnamed classes may have."""
MAX_COUNTED_VALUES = 65536
"""Largest number of different values whose pixels are counted in a mask."""
MAX_COLOURS = 6
"""Largest number of colours that are listed of a mask."""
MIN_SMEARED_SHARE = 0.9
"""Smallest share of a mask's pixels near 0 or 255 at which the other values are JPEG's."""
MIN_SMEARED_VALUES = 4
"""Smallest number of values between 0 and 255 that are JPEG's; fewer are classes."""
THUMBNAIL_PIXELS = 32
"""Side of the small picture that is compared to find near-duplicates."""


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
        all_equal_channels: whether the channels of a colour image hold one grey image (alpha
            aside).
        colour: whether the channels are red, green and blue, and not separate images.
        content: hash of the values, see :func:`pipeline.data.pixel_hashes.values_sha256`.
        maximum: largest value of the number format; None: the values have a unit, or are fractions.
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
    colour: bool = False
    maximum: float | None = None


class MaskStatistics(NamedTuple):
    """Statistics of a mask.

    Attributes:
        size: pixels along each axis.
        values: the different finite values in ascending order, those that are almost whole rounded;
            at most :data:`MAX_COUNTED_VALUES` + 1 of them.
        foreground: share of the pixels that are not 0.
        smeared: whether an 8-bit mask has further values close to 0 and 255, as JPEG compression
            leaves them.
        channels: number of values per pixel.
        all_equal_channels: whether several channels hold one mask (alpha aside).
        counts: pixels of each value.
        not_finite: pixels that are NaN or infinite.
        edge: share of the pixels along the border that are not 0.
        colours: the colours besides black of channels that differ, at most :data:`MAX_COLOURS` + 1.
        extent: pixels along each axis of the smallest box around all that is not 0; 0 of an empty
            mask.
    """

    size: tuple[int, ...]
    values: tuple[float, ...]
    foreground: float
    smeared: bool
    channels: int
    all_equal_channels: bool
    counts: tuple[int, ...] = ()
    not_finite: int = 0
    edge: float = 0.0
    colours: tuple[tuple[float, ...], ...] = ()
    extent: tuple[int, ...] = ()

    def pixels(self) -> dict[float, int]:
        """Return the number of pixels of each value."""
        return dict(zip(self.values, self.counts, strict=True))


class InstanceStatistics(NamedTuple):
    """Numbers of instances in a label.

    Attributes:
        all: number of instances.
        touching: number of instances that touch another one.
    """

    all: int
    touching: int


def image_statistics(pixels: Pixels) -> ImageStatistics:
    """Compute the statistics of an image."""
    array = pixels.array
    floating = np.issubdtype(array.dtype, np.floating)
    finite = array[np.isfinite(array)] if floating else array.ravel()
    not_finite = array.size - finite.size
    if not finite.size:
        finite = np.zeros(1, array.dtype)
    return ImageStatistics(
        _to_anatomical_order(pixels, pixels.size),
        pixels.channels,
        _to_anatomical_order(pixels, _spacing(pixels)),
        array.dtype.name,
        tuple(float(value) for value in np.percentile(finite, PERCENTILES)),
        float(finite.mean(dtype=np.float64)),
        float(finite.std(dtype=np.float64)),
        int(not_finite),
        len(_values(finite)),
        _all_equal_channels(pixels),
        values_sha256(array),
        pixels.colour,
        pixels.maximum,
    )


def mask_statistics(pixels: Pixels) -> MaskStatistics:
    """Compute the statistics of a mask."""
    plane = single_plane(pixels.array) if pixels.channels > 1 else pixels.array
    values, counts = count_values(plane)
    equal = _all_equal_channels(pixels)
    inside = np.isfinite(plane) & (whole_numbers(plane) != 0)
    return MaskStatistics(
        _to_anatomical_order(pixels, pixels.size),
        tuple(values.tolist()),
        float(np.count_nonzero(inside) / max(1, plane.size)),
        _is_smeared(plane),
        pixels.channels,
        equal,
        tuple(counts.tolist()),
        int(plane.size - np.count_nonzero(np.isfinite(plane))),
        _edge_share(inside),
        _colours(pixels.array) if pixels.channels > 1 and not equal else (),
        _to_anatomical_order(pixels, _extent(inside)),
    )


def single_plane(array: NDArray[Any]) -> NDArray[Any]:
    """Return the highest of the colour channels of each pixel, ``(rows, columns)``, without alpha.

    Example:
        >>> single_plane(np.array([[[255, 0, 0], [0, 0, 0]]])).tolist()
        [[255, 0]]
    """
    plane: NDArray[Any] = _colour_channels(array).max(-1)
    return plane


def count_values(array: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the different finite values of a mask and the pixels of each, in ascending order.

    Values that are almost whole are rounded, see
    :func:`transforms.whole_numbers.whole_numbers`.

    Example:
        >>> values, counts = count_values(np.array([0.0, 0.99999, 1.0, np.nan]))
        >>> values.tolist(), counts.tolist()
        ([0.0, 1.0], [1, 2])
    """
    flat = array.ravel()
    if np.issubdtype(flat.dtype, np.floating):
        values, counts = np.unique(flat[np.isfinite(flat)], return_counts=True)
        # + 0.0: a rounded value just below 0 becomes -0
        values, places = np.unique(whole_numbers(values) + 0.0, return_inverse=True)
        counts = np.bincount(places, counts, len(values)).astype(np.int64)
    elif flat.size and flat.min() >= 0 and flat.max() <= MAX_COUNTED_VALUES:
        every = np.bincount(flat.astype(np.int64))  # counting is faster than sorting
        values = np.flatnonzero(every)
        counts = every[values]
    else:
        values, counts = np.unique(flat, return_counts=True)
    kept = slice(MAX_COUNTED_VALUES + 1)
    return values[kept].astype(np.float64), counts[kept].astype(np.int64)


def _extent(inside: NDArray[np.bool_]) -> tuple[int, ...]:
    """Return the sides of the smallest box around what is inside, 0 where nothing is."""
    axes = range(inside.ndim)
    along = (np.flatnonzero(inside.any(tuple(a for a in axes if a != axis))) for axis in axes)
    return tuple(int(places[-1] - places[0] + 1) if places.size else 0 for places in along)


def _edge_share(inside: NDArray[np.bool_]) -> float:
    interior = inside[tuple(slice(1, -1) for _ in inside.shape)]
    edge_pixels = inside.size - interior.size
    on = np.count_nonzero(inside) - np.count_nonzero(interior)
    return float(on / edge_pixels) if edge_pixels else 0.0


def _colour_channels(array: NDArray[Any]) -> NDArray[Any]:
    return array[..., : 1 if array.shape[-1] == 2 else 3]  # without alpha


def _colours(array: NDArray[Any]) -> tuple[tuple[float, ...], ...]:
    channels = _colour_channels(array)
    colours = np.unique(channels.reshape(-1, channels.shape[-1]), axis=0)
    colours = colours[colours.any(axis=1)][: MAX_COLOURS + 1]
    return tuple(tuple(colour) for colour in colours.tolist())


def _all_equal_channels(pixels: Pixels) -> bool:
    if not (pixels.colour or pixels.alpha):
        return False
    colours = _colour_channels(pixels.array)
    return bool((colours == colours[..., :1]).all())


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
        array = array[:, :, array.shape[2] // 2]
    if pixels.channels > 1:
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
        return pixels.spacing or ()
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
