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
    to_label = np.linalg.inv(label.affine) @ image.affine
    resampled: NDArray[Any] = affine_transform(
        label.array, to_label[:3, :3], to_label[:3, 3], output_shape=image.array.shape[:3],
        order=0, mode="grid-constant",
    )  # fmt: skip
    before, after = _volume(label.array, label.affine), _volume(resampled, image.affine)
    if after < MIN_KEPT_SHARE * before:
        raise ValueError(
            f"{1 - after / before:.0%} of the labelled volume lies outside the image; is it the "
            "label of this image?"
        )
    return resampled


def _volume(array: NDArray[Any], affine: NDArray[np.float64]) -> float:
    return float(np.count_nonzero(array) * abs(np.linalg.det(affine[:3, :3])))
