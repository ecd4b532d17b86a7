"""The grid of an image: from places in the patient to its columns, rows and slices.

Slices are found by their own positions, so that neither a tilted gantry nor distances that vary a
little matter.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dicom import Series, open_image
from pipeline.data.dicom_header import Place
from transforms.places import MAX_FINE_OFFSET

Voxels = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]
"""Columns, rows and slices of voxels, to index the volume of an image."""


class ImageGrid(NamedTuple):
    """The slices of an image, and where they lie.

    Attributes:
        path: file of the image, or reference of its series.
        series: its slices, ordered by their position along the normal.
    """

    path: Path
    series: Series

    @classmethod
    def of(cls, path: Path) -> "ImageGrid":
        """Find the slices of an image.

        Raises:
            FileNotFoundError: no such file or series.
            ValueError: see :func:`pipeline.data.dicom.open_image`.
        """
        return cls(path, open_image(path))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of columns, rows and slices."""
        return self.series.shape

    def indices(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return column, row and slice of places, as fractions; beyond the image, too.

        Args:
            points: ``(N, 3)``, mm, in DICOM's axes.

        Returns:
            ``(N, 3)``; whole numbers are the centres of pixels.
        """
        slices = self.series.slices
        positions = np.array([plane.position for plane in slices])
        directions = np.array([plane.directions for plane in slices])
        normal = np.cross(*directions[0])
        if len(slices) == 1:  # a slice counts as 1 mm thick
            positions = np.stack([positions[0], positions[0] + normal])
        depths, wanted = positions @ normal, points @ normal
        last = len(depths) - 2
        below = np.clip(np.searchsorted(depths, wanted, side="right") - 1, 0, last)
        shares = (wanted - depths[below]) / (depths[below + 1] - depths[below])
        origins = positions[below] + shares[:, None] * (positions[below + 1] - positions[below])
        axes = directions[np.minimum(below, len(slices) - 1)]
        in_plane = np.einsum("nak,nk->na", axes, points - origins) / slices[0].spacing
        return np.column_stack([in_plane, below + shares])

    def voxels(self, place: Place, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Voxels:
        """Return the voxels of an image that are pixels of a plane on its grid.

        The plane may be stored in another order: turned, mirrored, or in another of the three
        orientations.

        Args:
            place: where the plane lies.
            rows: row of each pixel in the plane.
            columns: column of each pixel.

        Raises:
            ValueError: the plane is not on the grid, or a pixel is outside the image. The message
                does not name the file of the plane.
        """
        first, column_step, row_step = self._steps(place, rows.max(), columns.max())
        indices = first + columns[:, None] * column_step + rows[:, None] * row_step
        outside = int(((indices < 0) | (indices >= self.shape)).any(axis=1).sum())
        if outside:
            raise ValueError(f"{outside} labelled pixels lie outside the image {self.path.name}")
        return indices[:, 0], indices[:, 1], indices[:, 2]

    def _steps(
        self, place: Place, last_row: int, last_column: int
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Return the voxel of a plane's first pixel, and the steps to the next column and row."""
        along, down = place.directions * np.array(place.spacing)[:, None]
        sides = np.array([max(1, last_column), max(1, last_row)])
        corners = np.array([place.position] * 3)
        corners[1] += sides[0] * along
        corners[2] += sides[1] * down
        exact = self.indices(corners)
        whole = np.rint(exact)
        steps = (whole[1:] - whole[0]) / sides[:, None]
        offset = float(np.abs(exact - whole).max())
        if not offset <= MAX_FINE_OFFSET or sorted(map(tuple, np.abs(steps))) not in UNIT_STEPS:
            raise ValueError(self._not_on_grid(place, exact[0]))
        first, column_step, row_step = np.rint([whole[0], *steps]).astype(np.intp)
        return first, column_step, row_step

    def _not_on_grid(self, place: Place, first: NDArray[np.float64]) -> str:
        own = self.series.slices[0].spacing
        at = ", ".join(f"{index:.2f}" for index in np.round(first, 2) + 0.0)  # no "-0.00"
        return (
            f"pixels of {place.spacing[0]:g} x {place.spacing[1]:g} mm, the first at column, row "
            f"and slice {at} of the image {self.path.name}, whose pixels have {own[0]:g} x "
            f"{own[1]:g} mm"
        )


UNIT_STEPS = [
    sorted([one, other])
    for one, other in (
        ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
        ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
        ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    )
]
"""Steps along two different axes of a grid, whatever their signs."""
