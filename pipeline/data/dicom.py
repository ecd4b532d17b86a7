"""A DICOM series as one volume: slices in order, position in space, rescaled intensities.

The functions return nothing that names a patient.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dicom_header import Header, Place, frame_places, read_header
from pipeline.data.dicom_pixels import label_numbers, read_frames, stored_frames
from pipeline.data.series import headers_of, is_series

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From DICOM's axes (left, posterior, superior) to NIfTI's (right, anterior, superior)."""
MIN_SLICE_DISTANCE_MM = 1e-3
"""Slices closer than this have the same position."""
DISTANCE_TOLERANCE = 0.1
"""Share of the smallest distance of two slices by which the largest may exceed it."""


class Slice(NamedTuple):
    """Position and orientation of one plane of a series.

    Attributes:
        path: path of its file.
        position: centre of its first pixel, mm, in DICOM's own axes (left, posterior, superior).
        directions: unit vector along a row, then along a column, ``(2, 3)``.
        spacing: distance of columns, then of rows, mm.
        size: number of columns, then of rows.
        frame: number of the frame in its file, from 0.
    """

    path: Path
    position: NDArray[np.float64]
    directions: NDArray[np.float64]
    spacing: tuple[float, float]
    size: tuple[int, int]
    frame: int = 0

    @property
    def depth(self) -> float:
        """Position along the normal of the slice, mm."""
        return float(np.cross(*self.directions) @ self.position)

    @property
    def name(self) -> str:
        """Name of the file, with the frame if it is not the first."""
        return f"{self.path.name}, frame {self.frame + 1}" if self.frame else self.path.name


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


def open_series(reference: Path) -> Series:
    """Find the slices of a DICOM series, without their pixels.

    Args:
        reference: folder of the one series, or ``FOLDER#UID``, see :mod:`pipeline.data.series`.

    Raises:
        FileNotFoundError: no DICOM image in the folder, or no such series.
        ValueError: several series, an image in colour, slices of several spacings or orientations,
            two slices with the same position, or a missing slice.
    """
    headers = headers_of(reference)
    for header in headers:
        _check_grey(header)
    return _ordered(reference, [_slice(header) for header in headers])


def read_series(
    reference: Path, label: bool = False
) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    """Read a DICOM series.

    Slices are ordered by their position along the normal. Rescale slope and intercept are applied;
    MONOCHROME1, in which low values are bright, is inverted. A mask (``label``) has its stored
    numbers, see :func:`pipeline.data.dicom_pixels.label_numbers`.

    Returns:
        The volume, ``(columns, rows, slices)``, and the series' affine.

    Raises:
        FileNotFoundError: as :func:`open_series`.
        ValueError: as :func:`open_series`.
    """
    series = open_series(reference)
    headers = {header.path: header for header in headers_of(reference)}
    ordered = [headers[plane.path] for plane in series.slices]
    if label:
        stored = np.concatenate([stored_frames(header) for header in ordered])
        return label_numbers(stored, ordered[0]).T, series.affine
    return np.concatenate([read_frames(header) for header in ordered]).T, series.affine


def read_file(path: Path, label: bool = False) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    """Read one file as a volume, of one slice or of several frames.

    Frames are ordered by their position. Without positions of the frames, they lie as
    SimpleITK reads them; without position and spacing, at the origin, in voxels of 1 mm.

    Returns:
        The volume, ``(columns, rows, slices)``, and its affine.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is corrupt, is no image, is in colour, or lacks a slice.
    """
    header = read_header(path)
    _check_grey(header)
    frames = read_frames(header, label)
    series = _file_series(header)
    if series is None:
        nowhere = header.place is None and header.spacing is None
        return frames.T, _affine([_flat_slice(header)]) if nowhere else _itk_affine(path)
    return frames[[plane.frame for plane in series.slices]].T, series.affine


def open_image(reference: Path) -> Series:
    """Find where the slices of a series, or the frames of a file, lie.

    Args:
        reference: folder of the one series, ``FOLDER#UID``, or a file.

    Raises:
        FileNotFoundError: as :func:`open_series`.
        ValueError: as :func:`open_series`, or a file of several frames without positions.
    """
    if is_series(reference):
        return open_series(reference)
    series = _file_series(read_header(reference))
    if series is None:
        raise ValueError(f"{reference}: frames without positions; expected a volume in space")
    return series


def planes_of(reference: Path) -> list[Slice]:
    """Return the planes of a series or a file, in the order of the slices of its volume.

    A file without positions has those of :func:`read_file`: its frames lie at the origin.

    Raises:
        FileNotFoundError: as :func:`open_series`.
        ValueError: as :func:`open_series`.
    """
    if is_series(reference):
        return open_series(reference).slices
    header = read_header(reference)
    series = _file_series(header)
    if series is not None:
        return series.slices
    return [_flat_slice(header)._replace(frame=frame) for frame in range(header.frames)]


def _file_series(header: Header) -> Series | None:
    """Return where the frames of a file lie; ``None``: several frames without positions."""
    if header.frames == 1:
        plane = _slice(header) if header.place else _flat_slice(header)
        return Series([plane], _affine([plane]))
    places = frame_places(header.path)
    if places is None:
        return None
    planes = [
        Slice(header.path, *place[:2], place.spacing, header.size, i)
        for i, place in enumerate(places)
    ]
    return _ordered(header.path, planes)


def _slice(header: Header) -> Slice:
    if header.frames > 1:
        raise ValueError(
            f"{header.path}: {header.frames} frames in one file; give the file, not its folder"
        )
    if header.place is None:
        raise ValueError(f"{header.path}: no position (ImagePositionPatient); export it again")
    place = header.place
    return Slice(header.path, place.position, place.directions, place.spacing, header.size)


def _flat_slice(header: Header) -> Slice:
    place = Place(np.zeros(3), np.eye(3)[:2], header.spacing or (1.0, header.aspect))
    return Slice(header.path, place.position, place.directions, place.spacing, header.size)


def _check_grey(header: Header) -> None:
    if header.is_colour:
        raise ValueError(
            f"{header.path}: a colour image ({header.photometric}); expected grey values in a "
            "volume; give the original series, or flat images in colour"
        )


def _ordered(reference: Path, planes: list[Slice]) -> Series:
    slices = sorted(planes, key=lambda plane: plane.depth)
    _check_same_geometry(reference, slices)
    _check_distances(reference, slices)
    return Series(slices, _affine(slices))


def _check_same_geometry(reference: Path, slices: Sequence[Slice]) -> None:
    first = slices[0]
    for plane in slices[1:]:
        if not np.allclose(plane.directions, first.directions, atol=1e-3):
            raise ValueError(
                f"{reference}: {plane.name} has another orientation than "
                f"{first.name}; expected parallel slices; put them in separate folders"
            )
        if plane.size != first.size or not np.allclose(plane.spacing, first.spacing, rtol=1e-3):
            raise ValueError(
                f"{reference}: {plane.name} has {plane.size} pixels of {plane.spacing} mm, "
                f"{first.name} {first.size} of {first.spacing}; put them in separate folders"
            )


def _check_distances(reference: Path, slices: Sequence[Slice]) -> None:
    depths = np.array([plane.depth for plane in slices])
    steps = np.diff(depths)
    for i in map(int, np.flatnonzero(steps < MIN_SLICE_DISTANCE_MM)):
        one, other = sorted((slices[i].name, slices[i + 1].name))
        raise ValueError(
            f"{reference}: {one} and {other} have the same position; remove one of them"
        )
    if len(steps) and steps.max() > (1 + DISTANCE_TOLERANCE) * steps.min():
        i = int(np.argmax(steps))
        raise ValueError(
            f"{reference}: {steps[i]:.2f} mm between {slices[i].name} and "
            f"{slices[i + 1].name}, expected {steps.min():.2f} mm as elsewhere; "
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


def _itk_affine(path: Path) -> NDArray[np.float64]:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    affine = np.eye(4)
    affine[:3, :3] = np.array(reader.GetDirection()).reshape(3, 3) * np.array(reader.GetSpacing())
    affine[:3, 3] = reader.GetOrigin()
    return LPS_TO_RAS @ affine
