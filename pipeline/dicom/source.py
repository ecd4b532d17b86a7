"""The DICOM images that a result belongs to: headers, order of the frames, references."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileDataset

from pipeline.data.dicom import Slice, planes_of
from pipeline.data.dicom_header import frame_places, is_dicom
from pipeline.data.readers import slice_view
from pipeline.data.series import is_series
from pipeline.dicom.channels import check_one_patient, image_item

PATIENT_AND_STUDY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
"""Attributes that may be empty and may not be absent; anonymised images often lack them."""
IDENTITY = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
"""Attributes without which nothing can refer to an image."""
GEOMETRY = ("FrameOfReferenceUID", "ImageOrientationPatient", "PixelSpacing")
"""Attributes without which nothing lies where a plane does."""
SHARED_GROUPS = ("PixelMeasuresSequence", "PlaneOrientationSequence")
"""What all frames of a volume have alike; highdicom seeks it where the frames share it."""


@dataclass(frozen=True)
class SourceImage:
    """A series, or a file, and where its planes lie.

    Attributes:
        planes: in the order of the slices of its volume.
        headers: without pixels, one for each file: one for each plane, or one for all.
        channels: headers of the images of the case's further channels, without pixels.
        is_placed: whether its planes lie in a frame of reference; an X-ray does not.
    """

    planes: Sequence[Slice]
    headers: Sequence[Dataset]
    is_placed: bool
    channels: Sequence[Dataset] = ()

    @property
    def all_headers(self) -> list[Dataset]:
        """Headers of all images that the result was made of."""
        return [*self.headers, *self.channels]

    @property
    def first(self) -> Dataset:
        """Header of the first plane."""
        return self.headers[0]

    @property
    def is_one_file(self) -> bool:
        """Whether several frames are in one file."""
        return len(self.headers) < len(self.planes)

    def header(self, plane: int) -> Dataset:
        """Return the header of the file of a plane."""
        return self.headers[0 if self.is_one_file else plane]

    def frame_number(self, plane: int) -> int | None:
        """Return the number of a plane's frame in its file, from 1; None: the file has one."""
        return self.planes[plane].frame + 1 if self.is_one_file else None

    def in_file_order(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Return frames, which are in the order of the planes, in that of the files."""
        if not self.is_one_file:
            return frames
        return frames[np.argsort([plane.frame for plane in self.planes])]

    def reference(self, plane: int) -> Dataset:
        """Return an item of a sequence that refers to the image of a plane."""
        header, frame = self.header(plane), self.frame_number(plane)
        item = image_item(header)
        if frame is not None:
            item.ReferencedFrameNumber = frame
        return item


def check_is_dicom(reference: Path) -> None:
    """Refuse an image that is not DICOM.

    Raises:
        ValueError: it is not.

    Example:
        >>> check_is_dicom(Path("scan.nii.gz"))
        Traceback (most recent call last):
        ValueError: scan.nii.gz: not DICOM; results as DICOM refer to DICOM images; leave ...
    """
    if not is_series(reference) and not is_dicom(reference):
        raise ValueError(
            f"{reference}: not DICOM; results as DICOM refer to DICOM images; leave --dicom out"
        )


def open_source(reference: Path, channels: Sequence[Path] = ()) -> SourceImage:
    """Read the headers of a series or a file, and of those of its further channels.

    Attributes of patient and study that are absent become empty ones.

    Args:
        reference: file, or reference of a series, see :mod:`pipeline.data.series`.
        channels: of the further channels of the case.

    Raises:
        ValueError: a file that is not DICOM, or lacks what a result has to refer to; channels of
            several patients.
    """
    source = _open_one(reference)
    others = [_open_one(channel) for channel in channels]
    check_one_patient(source.first, channels, [other.first for other in others])
    return replace(source, channels=[header for other in others for header in other.headers])


def _open_one(reference: Path) -> SourceImage:
    check_is_dicom(reference)
    planes = planes_of(reference)
    paths = list(dict.fromkeys(plane.path for plane in planes))
    headers = [_read(path) for path in paths]
    is_placed = _is_placed(headers[0], paths[0])
    for path, header in zip(paths, headers, strict=True):
        _check_identity(path, header, is_placed)
        _complete(header, is_placed)
    if is_placed:
        _complete_geometry(headers, planes)
    return SourceImage(planes, headers, is_placed)


def frames_of(array: NDArray[Any], is_volume: bool, reference: Path) -> NDArray[Any]:
    """Return what was inferred of an image as ``(planes, rows, columns)``.

    Args:
        array: of a volume ``(X, Y, Z)``, of flat pages ``(pages, H, W)``.
        is_volume: which of both.
        reference: of the image.
    """
    if not is_volume and len(array) > 1:
        array, is_volume = slice_view(reference).voxels(array), True
    return np.ascontiguousarray(array.T) if is_volume else array


def _read(path: Path) -> FileDataset:
    header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
    header.decode()  # texts are written in UTF-8, whatever they were in
    return header


def _is_placed(header: Dataset, path: Path) -> bool:
    if int(header.get("NumberOfFrames") or 1) > 1:
        return frame_places(path) is not None
    return bool(header.get("ImagePositionPatient"))


def _check_identity(path: Path, header: Dataset, is_placed: bool) -> None:
    is_plane = int(header.get("NumberOfFrames") or 1) == 1
    geometry = GEOMETRY if is_plane else GEOMETRY[:1]  # of frames, the reader has checked the rest
    needed = (*IDENTITY, *geometry) if is_placed else IDENTITY
    absent = [name for name in needed if not header.get(name)]
    if absent:
        raise ValueError(
            f"{path}: no {' and no '.join(absent)}; a result as DICOM refers to it; export the "
            "images again with it, or leave --dicom out"
        )


def _complete(header: Dataset, is_placed: bool) -> None:
    for name in PATIENT_AND_STUDY:
        if name not in header:
            setattr(header, name, "")
    if not is_placed:  # what has no position lies nowhere in a frame of reference
        header.pop("FrameOfReferenceUID", None)


def _complete_geometry(headers: Sequence[Dataset], planes: Sequence[Slice]) -> None:
    """Give the headers what highdicom reads, by where the planes lie."""
    if len(headers) < len(planes):
        _share_groups(headers[0])
        return
    distance = f"{abs(planes[1].depth - planes[0].depth):.6g}" if len(planes) > 1 else None
    for header in headers:
        header.pop("SpacingBetweenSlices", None)  # often wrong; the positions tell it
        if not header.get("SliceThickness"):
            header.SliceThickness = distance


def _share_groups(header: Dataset) -> None:
    first = header.PerFrameFunctionalGroupsSequence[0]
    if not header.get("SharedFunctionalGroupsSequence"):
        header.SharedFunctionalGroupsSequence = [Dataset()]
    shared = header.SharedFunctionalGroupsSequence[0]
    for name in SHARED_GROUPS:
        if name not in shared:
            shared[name] = first[name]
