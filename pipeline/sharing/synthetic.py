"""A synthetic image that fits a packed bundle: dimensions, channels, values and spacing."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from monai.transforms import ScaleIntensityRanged, Spacingd
from numpy.typing import NDArray

from pipeline.data.phantom import cells
from pipeline.data.pixels import Pixels
from transforms import ColourImaged, CTWindowd, PixelSpacingd

IMAGE_SIDE_PIXELS, VOLUME_SIDE_VOXELS = 256, 32
"""Length of each side of a synthetic image, and of a synthetic volume."""
SPACING_RATIO = 1.25
"""Spacing of the image divided by that of the network's grid: the sample is resampled."""
MARGIN = 0.25
"""Part of a window's width by which the values exceed it on either side: some are clipped."""
T = TypeVar("T")


def synthetic_pixels(spatial_dims: int, channels: int, preprocessing: Sequence[Any]) -> Pixels:
    """Return an image that fits a network and the preprocessing of its images.

    The channels differ, and a volume is stored from right to left and from front to back, unlike
    the network's grid: a result with swapped channels, or of a turned volume, is another one.

    Args:
        spatial_dims: dimensions of the network, 2 or 3.
        channels: of its input.
        preprocessing: transforms of the images.

    Returns:
        ``(H, W)`` of 8 bits, or a volume ``(X, Y, Z)`` of fractions, whole Hounsfield units where
        the preprocessing has a window; of several channels with a further, last axis.

    Example:
        >>> pixels = synthetic_pixels(2, 1, [CTWindowd("image", width=400, level=0)])
        >>> pixels.array.dtype, int(pixels.array.min()), int(pixels.array.max())
        (dtype('int16'), -300, 300)
    """
    make = _volume if spatial_dims == 3 else _flat
    images = [make(channel) for channel in range(channels)]
    array = images[0] if channels == 1 else np.stack(images, axis=-1)
    window = _window(preprocessing)
    if window is not None:
        array = _stretched(array, *window)
    if spatial_dims == 3:
        return Pixels(array, _affine(preprocessing))
    resampling = _first(preprocessing, PixelSpacingd)
    spacing = None
    if resampling is not None:
        rows, columns = resampling.spacing
        spacing = (rows * SPACING_RATIO, columns * SPACING_RATIO)
    colour = _first(preprocessing, ColourImaged) is not None
    return Pixels(array, None, spacing, colour=colour)


def _flat(channel: int) -> NDArray[np.uint8]:
    return np.rot90(cells(IMAGE_SIDE_PIXELS, np.random.default_rng(0))[0], channel)


def _volume(channel: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(channel)
    walk = rng.normal(size=(VOLUME_SIDE_VOXELS,) * 3).cumsum(0).cumsum(1)
    return walk.astype(np.float32)


def _affine(preprocessing: Sequence[Any]) -> NDArray[np.float64]:
    resampling = _first(preprocessing, Spacingd)
    spacing = [1.0] * 3 if resampling is None else resampling.spacing_transform.pixdim
    right_to_left, front_to_back, upwards = np.multiply(spacing, SPACING_RATIO)
    return np.diag([-right_to_left, -front_to_back, upwards, 1.0])


def _window(preprocessing: Sequence[Any]) -> tuple[float, float] | None:
    """Return the window of Hounsfield units that the preprocessing clips to, if any."""
    window, scaling = (_first(preprocessing, kind) for kind in (CTWindowd, ScaleIntensityRanged))
    if window is not None:
        half = window.transform.width / 2
        return window.transform.level - half, window.transform.level + half
    return None if scaling is None else (scaling.scaler.a_min, scaling.scaler.a_max)


def _stretched(array: NDArray[Any], low: float, high: float) -> NDArray[np.int16]:
    """Return signed whole numbers, as Hounsfield units are, from below a window to above it."""
    share = (array - array.min()) / (array.max() - array.min())
    margin = MARGIN * (high - low)
    return np.rint(low - margin + share * (high - low + 2 * margin)).astype(np.int16)


def _first(preprocessing: Sequence[Any], kind: type[T]) -> T | None:
    return next((one for one in preprocessing if isinstance(one, kind)), None)
