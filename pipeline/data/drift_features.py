"""The numbers of an image that are watched over time: brightness, noise, sides and spacing."""

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.data.drift import extents_of, intensities_of
from pipeline.data.image_statistics import ImageStatistics
from pipeline.data.pixels import Pixels

NOISE = "noise"
MAX_SLICES = 32
"""Slices of a volume, evenly over it, in which noise is estimated."""


def drift_features(pixels: Pixels, statistics: ImageStatistics) -> dict[str, float]:
    """Return what is watched of an image.

    Brightness and noise are shares of the largest value of the number format, so that 8 and 16 bits
    compare; of values with a unit, as Hounsfield units, they are in that unit.

    Args:
        pixels: of the image.
        statistics: of the same.

    Returns:
        The names of :data:`pipeline.data.drift.FEATURES`, ``noise``, and those of
        :data:`pipeline.data.drift.EXTENTS` that are known.

    Example:
        >>> from pipeline.data.image_statistics import image_statistics
        >>> image = Pixels(np.full((4, 6), 51, np.uint8), maximum=255.0)
        >>> features = drift_features(image, image_statistics(image))
        >>> features["mean"], features["noise"], features["longest side"]
        (0.2, 0.0, 6.0)
    """
    brightness = {**intensities_of(statistics), NOISE: noise_of(pixels)}
    whole = statistics.maximum or 1.0
    shares = {name: value / whole for name, value in brightness.items()}
    return {**shares, **{name: float(value) for name, value in extents_of(statistics).items()}}


def noise_of(pixels: Pixels) -> float:
    """Return the standard deviation of an image's noise, in its own values.

    sqrt(pi / 2) / 6 x the mean of |I * N|, where N = (1 -2 1)^T (1 -2 1) leaves nothing of a plane
    or an edge along an axis (Immerkaer 1996, https://doi.org/10.1006/cviu.1996.0060).
    Of a volume it is that of slices along its third axis, of several channels the mean.

    Args:
        pixels: of the image.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> round(noise_of(Pixels(100 + 5 * rng.standard_normal((256, 256)))), 1)
        5.0
    """
    array: NDArray[np.generic] = pixels.array
    if pixels.affine is not None:
        step = math.ceil(array.shape[2] / MAX_SLICES)
        array = array[:, :, ::step]
    if min(array.shape[:2]) < 3:
        return 0.0
    plane = np.nan_to_num(array.astype(np.float32))
    second = np.diff(np.diff(plane, 2, axis=0), 2, axis=1)
    return float(math.sqrt(math.pi / 2) / 6 * np.abs(second).mean(dtype=np.float64))
