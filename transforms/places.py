"""Comparison of the grids of an image and its mask, in space."""

import itertools
from typing import Any, NamedTuple

import numpy as np
from nibabel.affines import apply_affine
from nibabel.orientations import inv_ornt_aff, io_orientation
from numpy.typing import NDArray

MAX_FINE_OFFSET = 0.1
"""Distance of two grids, voxels, up to which they are the same: headers are rounded."""
MAX_NEAR_OFFSET = 0.5
"""Distance, voxels, up to which each voxel still covers most of its counterpart."""


class Grid(NamedTuple):
    """Voxels in space, their axes to the right, to the front and to the top.

    Attributes:
        shape: voxels along each axis.
        affine: ``(4, 4)``, from indices to millimetres.
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64]

    @classmethod
    def turned(cls, shape: Any, affine: Any) -> "Grid":
        """Turn a grid, however it is stored, so that its axes lead right, front and top.

        Example:
            >>> stored = np.diag([-1.0, 1.0, 2.0, 1.0])          # x to the left
            >>> Grid.turned((3, 4, 5), stored).affine[0].tolist()
            [1.0, 0.0, 0.0, -2.0]
        """
        affine = np.asarray(affine, np.float64)
        sizes = tuple(int(length) for length in shape)
        orientation = io_orientation(affine)
        turned = affine @ inv_ornt_aff(orientation, sizes)
        # axis i of the file becomes axis orientation[i, 0]
        order = np.argsort(orientation[:, 0])
        return cls(tuple(sizes[int(axis)] for axis in order), turned)


def offset(first: Grid, second: Grid) -> float:
    """Return the largest distance between equal corners of two grids of one shape, voxels.

    It counts voxels of the first grid, along the axis where the distance is largest.

    Example:
        >>> grid = Grid((4, 4, 4), np.diag([2.0, 2.0, 2.0, 1.0]))
        >>> moved = grid.affine.copy(); moved[0, 3] = 1.0
        >>> offset(grid, Grid((4, 4, 4), moved))
        0.5
    """
    ends = itertools.product(*[(0, length - 1) for length in first.shape])
    corners = np.array(list(ends), np.float64)
    places = apply_affine(second.affine, corners)
    indices = apply_affine(np.linalg.inv(first.affine), places)
    return float(np.abs(indices - corners).max())
