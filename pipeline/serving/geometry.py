"""The grid of an image as viewers see it, and what was inferred of the image on that grid."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from pipeline.data.dicom import LPS_TO_RAS
from pipeline.data.readers import is_flat_dicom, read_pixels, slice_view
from pipeline.data.series import is_series
from pipeline.data.suffixes import PNG_LIKE, TIFF, suffix_of
from pipeline.data.volumes import read_volume
from pipeline.inference.formats import is_sheared
from pipeline.inference.further_results import InferredImage
from transforms.places import Grid

FLAT = (*PNG_LIKE, *TIFF)


def grid_of(image: Path) -> Grid:
    """Return the grid ``(X, Y, Z)`` of an image as viewers place it.

    Of DICOM, NIfTI, NRRD and MHA it is what their headers state, of PNG, JPEG and TIFF what ITK
    makes of them: columns, rows and pages along the axes to the left, to the back and to the top.

    Args:
        image: file, or reference of a DICOM series.

    Raises:
        ValueError: a file that cannot be read, whose slices are sheared, or that a viewer turns.
    """
    if is_series(image) or is_flat_dicom(image) or suffix_of(image) not in FLAT:
        volume = read_volume(image)
        shape = (*volume.array.shape[:3], 1)[:3]
        affine = volume.affine
    else:
        shape, affine = _flat_grid(image)
    if is_sheared(affine):
        raise ValueError(
            f"{image}: its slices are sheared (tilted gantry), which viewers refuse; segment it "
            "with unet-school infer"
        )
    return Grid(shape, affine)


def _flat_grid(image: Path) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(image))
    reader.ReadImageInformation()
    shape = (*reader.GetSize(), 1)[:3]
    spacing = (*reader.GetSpacing(), 1.0)[:3]
    rows, columns = read_pixels(image).size[-2:]
    if shape[:2] != (columns, rows):
        raise ValueError(
            f"{image}: viewers show {shape[0]} columns and {shape[1]} rows, this reader {columns} "
            f"and {rows}; is it turned by EXIF? Save it upright"
        )
    return shape, LPS_TO_RAS @ np.diag([*spacing, 1.0])


class Segmented(NamedTuple):
    """The label map of an image on the grid on which viewers see it.

    Attributes:
        voxels: numbers of the labels, ``(X, Y, Z)``.
        grid: where they lie.
        maps: probabilities of each label in 8 bits.
        flags: coverage, quality and differences from the training images.
    """

    voxels: NDArray[Any]
    grid: Grid
    maps: Sequence[NDArray[np.uint8]]
    flags: Mapping[str, Any]


def segmented(image: InferredImage) -> Segmented:
    """Return what was inferred of an image on the grid on which viewers see it.

    Raises:
        ValueError: see :func:`grid_of`.
    """
    voxels = to_voxels(image.mask, image.is_volume, image.case.path)
    return Segmented(voxels, grid_of(image.case.path), image.maps, image.flags)


def to_voxels(array: NDArray[Any], is_volume: bool, path: Path) -> NDArray[Any]:
    """Return an array of an image as ``(X, Y, Z)`` on its grid.

    Args:
        array: of a volume ``(X, Y, Z)``, of flat pages ``(pages, rows, columns)``.
        is_volume: which of both.
        path: of the image.
    """
    if is_volume:
        return np.atleast_3d(array)
    if _is_flat(path):
        return array.transpose(2, 1, 0)
    return slice_view(path).voxels(array)


def to_pages(voxels: NDArray[Any], path: Path) -> NDArray[Any]:
    """Return voxels ``(X, Y, Z)`` on the grid of an image as its pages, see :func:`to_voxels`."""
    if _is_flat(path):
        return voxels.transpose(2, 1, 0)
    return slice_view(path).slices(voxels)


def _is_flat(path: Path) -> bool:
    return not is_series(path) and (suffix_of(path) in FLAT or is_flat_dicom(path))
