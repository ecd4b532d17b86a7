"""A DICOM series as one volume: slices in order, position in space, rescaled intensities.

The functions return nothing that names a patient. SimpleITK is imported inside them: the import
takes a quarter of a second, which a bundle for other formats does not need.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

POSITION, ORIENTATION = "0020|0032", "0020|0037"

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From DICOM's axes (left, posterior, superior) to NIfTI's (right, anterior, superior)."""
MIN_SLICE_DISTANCE_MM = 1e-3
"""Slices closer than this have the same position."""
DISTANCE_TOLERANCE = 0.1
"""Share of the smallest distance of two slices by which the largest may exceed it."""


class Slice(NamedTuple):
    """Position and orientation of one file of a series.

    Attributes:
        path: path of the file.
        position: centre of its first pixel, mm, in DICOM's own axes (left, posterior, superior).
        directions: unit vector along a row, then along a column, ``(2, 3)``.
        spacing: distance of columns, then of rows, mm.
        size: number of columns, then of rows.
    """

    path: Path
    position: NDArray[np.float64]
    directions: NDArray[np.float64]
    spacing: tuple[float, float]
    size: tuple[int, int]

    @property
    def depth(self) -> float:
        """Position along the normal of the slice, mm."""
        return float(np.cross(*self.directions) @ self.position)


class Series(NamedTuple):
    """A complete series, its pixels not yet read.

    Attributes:
        slices: slices, ordered by their position along the normal.
        affine: ``(4, 4)``, from indices to millimetres in NIfTI's axes (right, anterior, superior).
    """

    slices: list[Slice]
    affine: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of columns, rows and slices."""
        return (*self.slices[0].size, len(self.slices))


def open_series(folder: Path) -> Series:
    """Find the slices of the one DICOM series in a folder, without their pixels.

    Raises:
        FileNotFoundError: no DICOM file in the folder.
        ValueError: several series, slices of several sizes or orientations, two slices with the
            same position, or a missing slice.
    """
    slices = sorted(map(read_geometry, _files(folder)), key=lambda plane: plane.depth)
    _check_same_geometry(folder, slices)
    _check_distances(folder, slices)
    return Series(slices, _affine(slices))


def read_series(folder: Path) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    """Read the one DICOM series in a folder.

    Slices are ordered by their position along the normal. Rescale slope and intercept are applied;
    MONOCHROME1, in which low values are bright, is inverted.

    Returns:
        The volume, ``(columns, rows, slices)``, and the series' affine.

    Raises:
        FileNotFoundError: as :func:`open_series`.
        ValueError: as :func:`open_series`, or a slice in colour.
    """
    series = open_series(folder)
    volume = np.stack([read_plane(plane.path).T for plane in series.slices], axis=-1)
    return volume, series.affine


def read_plane(path: Path) -> NDArray[np.generic]:
    """Read the pixels of one file, ``(rows, columns)``, or ``(frames, rows, columns)``.

    Rescale slope and intercept are applied, and MONOCHROME1 is inverted.

    Raises:
        ValueError: the file is corrupt, or in colour.
    """
    import SimpleITK as sitk

    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError:
        raise _unreadable(path) from None
    if image.GetNumberOfComponentsPerPixel() > 1:
        raise ValueError(f"{path}: a colour image; expected grey values")
    pixels: NDArray[np.generic] = sitk.GetArrayFromImage(image)
    return pixels[0] if len(pixels) == 1 else pixels


def read_geometry(path: Path) -> Slice:
    """Read position and orientation of a DICOM file, without its pixels.

    Raises:
        ValueError: the file is corrupt, has several frames, or has no position.
    """
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        raise _unreadable(path) from None
    tags = {key: reader.GetMetaData(key).strip() for key in reader.GetMetaDataKeys()}
    frames = reader.GetSize()[2] if reader.GetDimension() > 2 else 1
    if frames > 1:
        raise ValueError(f"{path}: {frames} frames in one file; give the file, not its folder")
    if not tags.get(POSITION):
        raise ValueError(f"{path}: no position (ImagePositionPatient); export it again")
    spacing = (float(reader.GetSpacing()[0]), float(reader.GetSpacing()[1]))
    position = _numbers(tags[POSITION])
    directions = _numbers(tags.get(ORIENTATION, "1\\0\\0\\0\\1\\0")).reshape(2, 3)
    width, height = (int(length) for length in reader.GetSize()[:2])
    return Slice(path, position, directions, spacing, (width, height))


def _files(folder: Path) -> list[Path]:
    import SimpleITK as sitk

    series_ids = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if not series_ids:
        raise FileNotFoundError(f"{folder}: no DICOM file in this folder")
    names = [
        sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series_id)
        for series_id in series_ids
    ]
    if len(names) > 1:
        counts = ", ".join(str(len(files)) for files in names)
        raise ValueError(
            f"{folder}: {len(names)} DICOM series (of {counts} files); expected one; "
            "put each in a separate folder"
        )
    return [Path(name) for name in names[0]]


def _check_same_geometry(folder: Path, slices: Sequence[Slice]) -> None:
    first = slices[0]
    for plane in slices[1:]:
        if not np.allclose(plane.directions, first.directions, atol=1e-3):
            raise ValueError(
                f"{folder}: {plane.path.name} has another orientation than "
                f"{first.path.name}; expected parallel slices; put them in separate folders"
            )
        if plane.size != first.size or not np.allclose(plane.spacing, first.spacing, rtol=1e-3):
            raise ValueError(
                f"{folder}: {plane.path.name} has {plane.size} pixels of {plane.spacing} mm, "
                f"{first.path.name} {first.size} of {first.spacing}; put them in separate folders"
            )


def _check_distances(folder: Path, slices: Sequence[Slice]) -> None:
    depths = np.array([plane.depth for plane in slices])
    steps = np.diff(depths)
    for i in map(int, np.flatnonzero(steps < MIN_SLICE_DISTANCE_MM)):
        one, other = sorted((slices[i].path.name, slices[i + 1].path.name))
        raise ValueError(f"{folder}: {one} and {other} have the same position; remove one of them")
    if len(steps) and steps.max() > (1 + DISTANCE_TOLERANCE) * steps.min():
        i = int(np.argmax(steps))
        raise ValueError(
            f"{folder}: {steps[i]:.2f} mm between {slices[i].path.name} and "
            f"{slices[i + 1].path.name}, expected {steps.min():.2f} mm as elsewhere; "
            "a slice is missing; restore it"
        )


def _affine(slices: Sequence[Slice]) -> NDArray[np.float64]:
    first, last = slices[0], slices[-1]
    count = len(slices)
    # from the positions, not from the slice thickness: they include gaps and a tilted gantry
    step = (
        (last.position - first.position) / (count - 1) if count > 1 else np.cross(*first.directions)
    )
    affine = np.eye(4)
    affine[:3, 0] = first.directions[0] * first.spacing[0]
    affine[:3, 1] = first.directions[1] * first.spacing[1]
    affine[:3, 2], affine[:3, 3] = step, first.position
    return LPS_TO_RAS @ affine


def _unreadable(path: Path) -> ValueError:
    return ValueError(f"{path}: not a readable DICOM file; restore or remove it")


def _numbers(text: str) -> NDArray[np.float64]:
    return np.array([float(part) for part in text.split("\\")])
