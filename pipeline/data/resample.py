"""Resampling of a label to the grid of its image."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from pipeline.data.volumes import Volume

MIN_KEPT_SHARE = 0.9
"""Smallest share of a label's volume that must lie inside the image."""


def resample_label(label: Volume, image: Volume) -> NDArray[Any]:
    """Return the numbers of a label at the voxels of its image, each of the nearest voxel.

    Args:
        label: numbers ``(X, Y, Z)``, on whatever grid.
        image: image, whose grid is wanted.

    Raises:
        ValueError: less than nine tenths of the labelled volume lies inside the image.

    Example:
        >>> label = Volume(np.array([1, 2], np.uint8).reshape(2, 1, 1), np.eye(4))
        >>> affine = np.diag([0.5, 1.0, 1.0, 1.0])
        >>> affine[0, 3] = -0.25
        >>> resample_label(label, Volume(np.zeros((4, 1, 1)), affine)).ravel().tolist()
        [1, 1, 2, 2]
    """
    resampled = nearest_voxels(label.array, label.affine, image.affine, image.array.shape[:3])
    before, after = _volume(label.array, label.affine), _volume(resampled, image.affine)
    if after < MIN_KEPT_SHARE * before:
        raise ValueError(
            f"{1 - after / before:.0%} of the labelled volume lies outside the image; is it the "
            "label of this image?"
        )
    return resampled


def nearest_voxels(
    array: NDArray[Any],
    affine: NDArray[np.float64],
    grid: NDArray[np.float64],
    shape: tuple[int, ...],
) -> NDArray[Any]:
    """Return an array on another grid, each voxel with the number of the nearest; 0 outside.

    Args:
        array: ``(X, Y, Z)``.
        affine: ``(4, 4)`` of the array.
        grid: ``(4, 4)`` of the other grid.
        shape: voxels of the other grid.
    """
    to_array = np.linalg.inv(affine) @ grid
    resampled: NDArray[Any] = affine_transform(
        array, to_array[:3, :3], to_array[:3, 3], output_shape=shape, order=0, mode="grid-constant"
    )
    return resampled


def _volume(array: NDArray[Any], affine: NDArray[np.float64]) -> float:
    return float(np.count_nonzero(array) * abs(np.linalg.det(affine[:3, :3])))
