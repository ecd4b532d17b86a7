"""The pixels of a mask in space: how large they are, as far as the image's file says."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dicom_header import frame_places, is_dicom
from pipeline.data.readers import slice_view
from pipeline.data.series import is_series
from pipeline.data.suffixes import TIFF, suffix_of


@dataclass(frozen=True)
class Grid:
    """The pixels of a mask in space.

    Attributes:
        is_volume: whether the mask is ``(X, Y, Z)``; else it is pages, ``(pages, H, W)``.
        spacing: size of a pixel along each axis of the volume or of a page, mm; None: not known.
        pixel_size: mm3 of a voxel, or mm2 of a pixel; None: not known. Where slices are sheared, as
            by a tilted gantry, it is less than the product of the spacing.

    Example:
        >>> sheared = np.array([[1.0, 0, 0], [0, 1, 3], [0, 0, 4]])
        >>> grid = Grid.of_axes(sheared)
        >>> grid.spacing, grid.pixel_size
        ((1.0, 1.0, 5.0), 4.0)
    """

    is_volume: bool
    spacing: tuple[float, ...] | None = None
    pixel_size: float | None = None

    @classmethod
    def of_axes(cls, axes: NDArray[np.floating], in_mm: bool = True) -> "Grid":
        """Return the grid whose axes are the columns of a matrix.

        Args:
            axes: from indices to millimetres, ``(3, 3)`` of a volume, ``(2, 2)`` of pages.
            in_mm: whether the file states the size of its pixels.
        """
        is_volume = len(axes) == 3
        if not in_mm:
            return cls(is_volume)
        spacing = tuple(float(f"{side:.6g}") for side in np.linalg.norm(axes, axis=0))
        return cls(is_volume, spacing, float(f"{abs(np.linalg.det(axes)):.12g}"))

    @classmethod
    def of_image(cls, image: Any, path: Path) -> "Grid":
        """Return the grid of an image ``(C, *spatial)`` in the pixels of its file, MONAI's.

        Args:
            image: with its affine, and ``in_mm`` in its meta data.
            path: its file, or the reference of its series.
        """
        dims = image.ndim - 1
        in_mm = bool(image.meta.get("in_mm", dims == 3)) and (dims == 2 or _is_placed(path))
        return cls.of_axes(np.asarray(image.affine, np.float64)[:dims, :dims], in_mm)


def in_space(pages: NDArray[Any], image: Any, path: Path) -> tuple[NDArray[Any], Grid]:
    """Return pages with their grid; the slices of a volume as its voxels ``(X, Y, Z)``.

    The pages of a TIFF may be images that have nothing to do with each other, and frames without
    positions may be one after the other in time: they stay pages.

    Args:
        pages: of one file or series, ``(pages, H, W)``.
        image: one of them, see :meth:`Grid.of_image`.
        path: the file, or the reference of the series.
    """
    if len(pages) == 1 or suffix_of(path) in TIFF or not _is_placed(path):
        return pages, Grid.of_image(image, path)
    view = slice_view(path)
    return view.voxels(pages), Grid.of_axes(view.affine[:3, :3], bool(image.meta.get("in_mm")))


def _is_placed(path: Path) -> bool:
    """Whether slices have places; of formats that are not DICOM, all have."""
    return is_series(path) or not is_dicom(path) or frame_places(path) is not None
