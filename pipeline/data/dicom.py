"""A DICOM series as one volume: in order, where it lies in space, with true intensities.

Nothing that names a patient is read into what these functions return. SimpleITK is imported where
it is used: it takes a quarter of a second, which a bundle on other formats should not wait for.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

POSITION, ORIENTATION = "0020|0032", "0020|0037"

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From DICOM's axes (left, posterior, superior) to NIfTI's (right, anterior, superior)."""
SAME_PLACE = 1e-3
"""Millimetres below which two slices lie at one place."""
TOLERANCE = 0.1
"""Share of the slice distance by which single distances may differ."""


class Slice(NamedTuple):
    """Where one file of a series lies.

    Attributes:
        path: the file.
        position: of its first pixel's centre, mm, in DICOM's own axes (left, posterior, superior).
        rows: unit vector along a row, then along a column, ``(2, 3)``.
        spacing: between columns, then between rows, mm.
        size: columns, rows.
    """

    path: Path
    position: NDArray[np.float64]
    rows: NDArray[np.float64]
    spacing: tuple[float, float]
    size: tuple[int, int]

    @property
    def depth(self) -> float:
        """Place along the normal of the slice, mm."""
        return float(np.cross(*self.rows) @ self.position)


class Series(NamedTuple):
    """A complete series, its pixels not yet read.

    Attributes:
        slices: ordered by their place along the normal.
        affine: ``(4, 4)``, from indices to millimetres in NIfTI's axes (right, anterior, superior).
    """

    slices: list[Slice]
    affine: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Columns, rows, slices."""
        return (*self.slices[0].size, len(self.slices))


def open_series(folder: Path) -> Series:
    """Find the slices of the one DICOM series in a folder, without their pixels.

    Raises:
        FileNotFoundError: no DICOM file in the folder.
        ValueError: several series, slices of several sizes or orientations, two slices at one
            place, or a slice that is missing.
    """
    slices = sorted(map(read_place, _files(folder)), key=lambda each: each.depth)
    _check_alike(folder, slices)
    _check_distances(folder, slices)
    return Series(slices, _affine(slices))


def read_series(folder: Path) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    """Read the one DICOM series in a folder.

    Slices are ordered by their place along the normal. Rescale slope and intercept are applied,
    and MONOCHROME1, in which low values are bright, is inverted.

    Returns:
        The volume, ``(columns, rows, slices)``, and the series' affine.

    Raises:
        FileNotFoundError: as :func:`open_series`.
        ValueError: as :func:`open_series`, or a slice in colour.
    """
    series = open_series(folder)
    volume = np.stack([read_plane(each.path).T for each in series.slices], axis=-1)
    return volume, series.affine


def read_plane(path: Path) -> NDArray[np.generic]:
    """Read the pixels of one file, ``(rows, columns)``, or ``(frames, rows, columns)`` of several.

    Rescale slope and intercept are applied, and MONOCHROME1 is inverted.

    Raises:
        ValueError: it is corrupt, or in colour.
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


def read_place(path: Path) -> Slice:
    """Read where a DICOM file lies, without its pixels.

    Raises:
        ValueError: it is corrupt, has several frames, or does not say where it lies.
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
        raise ValueError(f"{path}: does not say where it lies (no position); export it again")
    columns, rows = (float(part) for part in reader.GetSpacing()[:2])
    position = _numbers(tags[POSITION])
    directions = _numbers(tags.get(ORIENTATION, "1\\0\\0\\0\\1\\0")).reshape(2, 3)
    across, down = (int(side) for side in reader.GetSize()[:2])
    return Slice(path, position, directions, (columns, rows), (across, down))


def _files(folder: Path) -> list[Path]:
    import SimpleITK as sitk

    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if not series:
        raise FileNotFoundError(f"{folder}: no DICOM file in this folder")
    names = [sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), each) for each in series]
    if len(names) > 1:
        counts = ", ".join(str(len(each)) for each in names)
        raise ValueError(
            f"{folder}: {len(names)} DICOM series (of {counts} files); expected one; "
            "put each in a folder of its own"
        )
    return [Path(name) for name in names[0]]


def _check_alike(folder: Path, slices: Sequence[Slice]) -> None:
    first = slices[0]
    for each in slices[1:]:
        if not np.allclose(each.rows, first.rows, atol=1e-3):
            raise ValueError(
                f"{folder}: {each.path.name} is turned against {first.path.name}; "
                "expected parallel slices; put them in folders of their own"
            )
        if each.size != first.size or not np.allclose(each.spacing, first.spacing, rtol=1e-3):
            raise ValueError(
                f"{folder}: {each.path.name} has {each.size} pixels of {each.spacing} mm, "
                f"{first.path.name} {first.size} of {first.spacing}; put them in folders of "
                "their own"
            )


def _check_distances(folder: Path, slices: Sequence[Slice]) -> None:
    depths = np.array([each.depth for each in slices])
    steps = np.diff(depths)
    for i in map(int, np.flatnonzero(steps < SAME_PLACE)):
        one, other = sorted((slices[i].path.name, slices[i + 1].path.name))
        raise ValueError(f"{folder}: {one} and {other} lie at one place; remove one of them")
    if len(steps) and steps.max() > (1 + TOLERANCE) * steps.min():
        i = int(np.argmax(steps))
        raise ValueError(
            f"{folder}: {steps[i]:.2f} mm between {slices[i].path.name} and "
            f"{slices[i + 1].path.name}, where others lie {steps.min():.2f} mm apart; "
            "a slice is missing; restore it"
        )


def _affine(slices: Sequence[Slice]) -> NDArray[np.float64]:
    first, last = slices[0], slices[-1]
    count = len(slices)
    # from the positions, not from a thickness: gaps and a tilted gantry are in them
    step = (last.position - first.position) / (count - 1) if count > 1 else np.cross(*first.rows)
    affine = np.eye(4)
    affine[:3, 0] = first.rows[0] * first.spacing[0]
    affine[:3, 1] = first.rows[1] * first.spacing[1]
    affine[:3, 2], affine[:3, 3] = step, first.position
    return LPS_TO_RAS @ affine


def _unreadable(path: Path) -> ValueError:
    return ValueError(f"{path}: not a readable DICOM file; restore or remove it")


def _numbers(text: str) -> NDArray[np.float64]:
    return np.array([float(part) for part in text.split("\\")])
