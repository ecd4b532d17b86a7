"""Intensities of the voxels inside the masks."""

from collections.abc import Sequence
from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.orientations import io_orientation
from numpy.typing import NDArray

from pipeline.data.pixels import Pixels

MAX_SAMPLES = 10_000
"""Largest number of voxels of a case that count, so that a large mask does not outweigh others."""


class ForegroundSample(NamedTuple):
    """Voxels inside the mask of a case.

    Attributes:
        intensities: in the image, ``(n,)``.
        numbers: in the mask, ``(n,)``.
    """

    intensities: NDArray[np.float32]
    numbers: NDArray[np.generic]

    def without(self, number: int | None) -> NDArray[np.float32]:
        """Return the intensities of the voxels that do not have a number in the mask."""
        return self.intensities[self.numbers != number] if number is not None else self.intensities


def sample_foreground(image: Pixels, label: Pixels) -> ForegroundSample:
    """Return intensities of a grey image inside its mask, evenly drawn.

    Args:
        image: image, flat or a volume.
        label: its mask; voxels that are not 0 are inside.

    Returns:
        At most :data:`MAX_SAMPLES` voxels, without NaN and infinite values; none if the image has
        several channels or the sizes differ.

    Example:
        >>> image, label = Pixels(np.array([[5, 6], [7, 8]])), Pixels(np.array([[0, 1], [0, 2]]))
        >>> sample = sample_foreground(image, label)
        >>> sample.intensities.tolist(), sample.without(2).tolist()
        ([6.0, 8.0], [6.0])
    """
    nothing = ForegroundSample(np.zeros(0, np.float32), np.zeros(0, np.uint8))
    if image.channels > 1 or label.channels > 1 or image.spatial_dims != label.spatial_dims:
        return nothing
    values, inside = _upright(image), _upright(label)
    if values.shape != inside.shape:
        return nothing
    places = np.flatnonzero(inside)
    step = max(1, -(-len(places) // MAX_SAMPLES))
    drawn = values.ravel()[places[::step]].astype(np.float32)
    finite = np.isfinite(drawn)
    return ForegroundSample(drawn[finite], inside.ravel()[places[::step]][finite])


def foreground_intensities(samples: Sequence[NDArray[np.float32]]) -> dict[str, float]:
    """Summarise the intensities inside the masks of all cases.

    Returns:
        0.5 and 99.5 percentiles, ``mean`` and ``deviation``; empty without a voxel.

    Example:
        >>> foreground_intensities([np.float32([1, 3]), np.float32([5])])["mean"]
        3.0
        >>> foreground_intensities([])
        {}
    """
    values = np.concatenate(samples) if samples else np.zeros(0)
    if not values.size:
        return {}
    low, high = np.percentile(values, (0.5, 99.5))
    exact = values.astype(np.float64)
    summary = {"0.5": low, "99.5": high, "mean": exact.mean(), "deviation": exact.std()}
    return {name: round(float(value), 4) for name, value in summary.items()}


def _upright(pixels: Pixels) -> NDArray[np.generic]:
    """Turn a volume to NIfTI's axes: a mask may be stored in another order than its image."""
    if pixels.affine is None:
        return pixels.array
    return np.asarray(nib.apply_orientation(pixels.array, io_orientation(pixels.affine)))
