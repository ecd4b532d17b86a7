"""Slices of a volume as a radiologist sees them, and the way back to its voxels."""

from typing import Any, NamedTuple

import numpy as np
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    io_orientation,
    ornt_transform,
)
from numpy.typing import NDArray


class SliceView(NamedTuple):
    """How the slices of a volume lie in its voxels.

    The slices of a volume are axial: rows run to the back, columns to the left of the patient. A
    volume with one slice is seen along its axis of one voxel; in a coronal or sagittal slice the
    head is above.

    Attributes:
        codes: the patient's directions of columns, rows and slices that the voxels are turned to.
        axis: axis of the slices after turning.
        affine: ``(4, 4)`` of the voxels.
    """

    codes: str
    axis: int
    affine: NDArray[np.float64]

    def slices(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Return ``(slices, rows, columns[, channels])`` of voxels ``(X, Y, Z[, channels])``.

        Example:
            >>> voxels = np.arange(4).reshape(2, 2, 1)          # x to the right, y to the front
            >>> view_of(voxels.shape, np.eye(4)).slices(voxels)[0].tolist()
            [[3, 1], [2, 0]]
        """
        turned = apply_orientation(voxels, self._turn())
        columns, rows = (axis for axis in range(3) if axis != self.axis)
        return np.moveaxis(turned, (self.axis, rows, columns), (0, 1, 2))

    def voxels(self, slices: NDArray[Any]) -> NDArray[Any]:
        """Return the voxels, in the order of the file, of what :meth:`slices` returned.

        Example:
            >>> voxels, view = np.arange(24).reshape(2, 3, 4), view_of((2, 3, 4), np.eye(4))
            >>> bool((view.voxels(view.slices(voxels)) == voxels).all())
            True
        """
        columns, rows = (axis for axis in range(3) if axis != self.axis)
        turned = np.moveaxis(slices, (0, 1, 2), (self.axis, rows, columns))
        back = ornt_transform(axcodes2ornt(self.codes), io_orientation(self.affine))
        return np.asarray(apply_orientation(turned, back))

    def spacing(self) -> tuple[float, float]:
        """Return the distance of the rows and of the columns, mm."""
        return self.spacing_3d()[1:]

    def spacing_3d(self) -> tuple[float, float, float]:
        """Return the distance of the slices, of the rows and of the columns, mm.

        Example:
            >>> view_of((2, 3, 4), np.diag([1.0, 2.0, 6.5, 1.0])).spacing_3d()
            (6.5, 2.0, 1.0)
        """
        sizes = np.linalg.norm(self.affine[:3, :3], axis=0)
        # turned axis i is the voxels' axis order[i]
        order = np.argsort(self._turn()[:, 0])
        columns, rows = (axis for axis in range(3) if axis != self.axis)
        distances = [float(sizes[int(order[axis])]) for axis in (self.axis, rows, columns)]
        return distances[0], distances[1], distances[2]

    def _turn(self) -> NDArray[np.float64]:
        return np.asarray(ornt_transform(io_orientation(self.affine), axcodes2ornt(self.codes)))


def view_of(shape: tuple[int, ...], affine: NDArray[np.float64]) -> SliceView:
    """Return how the slices of voxels of this shape lie.

    Args:
        shape: ``(X, Y, Z)``.
        affine: ``(4, 4)``, from indices to millimetres in NIfTI's axes.

    Raises:
        ValueError: an affine of axes that lie in one plane.
    """
    orientation = io_orientation(affine)
    if np.isnan(orientation).any():
        raise ValueError("an affine whose axes lie in one plane; correct its header")
    single = [axis for axis, length in enumerate(shape[:3]) if length == 1]
    if len(single) != 1:
        return SliceView("LPS", 2, affine)
    anatomical = int(orientation[single[0], 0])
    return SliceView("LPS" if anatomical == 2 else "LPI", anatomical, affine)
