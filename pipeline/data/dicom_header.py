"""The header of a DICOM file: what it shows, where it lies, whose it is; never its pixels.

pydicom is imported inside the functions: a bundle for other formats does not need it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.data.suffixes import DICOM, SUFFIXES, suffix_of

PROJECTIONS = {"CR", "DX", "MG", "XA", "RF", "PX", "IO"}
"""Modalities whose images are projections, such as radiographs."""
PROJECTION_CLASSES = ("1", "1.1", "1.1.1", "1.2", "1.2.1", "1.3", "1.3.1", "12.1", "12.2")
"""SOP classes of projections, below :data:`STORAGE`; an absent modality is read from them."""
STORAGE = "1.2.840.10008.5.1.4.1.1."
NOT_IMAGES = ("66.", "481.2", "481.3", "11.", "30", "88.", "104.")
"""SOP classes with pixels or without that are no pictures: segmentations, doses, documents, …"""
SEGMENTATION, LABEL_MAP, CONTOURS = "66.4", "66.7", "481.3"
"""SOP classes that hold labels of images, below :data:`STORAGE`."""
NEW_CLASSES = {
    LABEL_MAP: "Label Map Segmentation Storage",
    "66.8": "Height Map Segmentation Storage",
}
"""Names of SOP classes that are younger than pydicom's table."""
TAGS = (
    "SOPClassUID", "SOPInstanceUID", "Modality", "PatientID", "StudyInstanceUID",
    "SeriesInstanceUID", "FrameOfReferenceUID", "SeriesDescription", "SeriesNumber", "Rows",
    "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated",
    "BitsStored", "PixelRepresentation", "RescaleSlope", "RescaleIntercept",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "ImagerPixelSpacing",
    "NominalScannedPixelSpacing", "PixelAspectRatio",
)  # fmt: skip


class NotAnImageError(ValueError):
    """A DICOM file that holds no image: a report, contours, a segmentation, …."""


class LabelsError(NotAnImageError):
    """A DICOM file that holds labels of images: a segmentation or contours."""


class Place(NamedTuple):
    """Where a plane lies.

    Attributes:
        position: centre of its first pixel, mm, in DICOM's own axes (left, posterior, superior).
        directions: unit vector along a row, then along a column, ``(2, 3)``.
        spacing: distance of columns, then of rows, mm.
    """

    position: NDArray[np.float64]
    directions: NDArray[np.float64]
    spacing: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Header:
    """Header of a DICOM image. Its printed form does not name the patient.

    Attributes:
        path: path of the file.
        sop_class: UID of its SOP class.
        modality: ``CT``, ``MR``, ``DX``, …; empty if the file does not say.
        series: UID of its series.
        study: UID of its study.
        instance: UID of the file.
        frame_of_reference: UID of the space in which its positions are; empty: not told.
        patient: what is equal for all files of a patient: PatientID, else the study, else the
            frame of reference; never printed or written.
        description: series description.
        number: series number; 0 if absent.
        size: number of columns, then of rows.
        frames: number of frames.
        channels: values per pixel.
        photometric: photometric interpretation.
        bits: bits stored of a value.
        signed: whether stored values are signed.
        rescaled: whether a rescale slope or intercept changes the values.
        place: where the plane lies; ``None`` without a position.
        spacing: distance of columns, then of rows, mm; ``None`` if the file does not say.
        aspect: height of a pixel divided by its width.
    """

    path: Path
    sop_class: str
    modality: str
    series: str
    study: str
    instance: str
    frame_of_reference: str
    patient: str = field(repr=False)
    description: str
    number: int
    size: tuple[int, int]
    frames: int
    channels: int
    photometric: str
    bits: int
    signed: bool
    rescaled: bool
    place: Place | None
    spacing: tuple[float, float] | None
    aspect: float

    @property
    def is_projection(self) -> bool:
        """Whether the image is a projection, such as a radiograph."""
        return is_projection(self.modality, self.sop_class)

    @property
    def is_colour(self) -> bool:
        """Whether the image is in colour: RGB, YBR, or grey values that index a palette."""
        return self.channels > 1 or self.photometric == "PALETTE COLOR"

    @property
    def levels(self) -> int:
        """Largest value of the number format, 4095 for 12 bits."""
        return int(2**self.bits - 1)


def is_projection(modality: str, sop_class: str) -> bool:
    """Return whether images are projections, by their modality or, without one, their SOP class.

    Example:
        >>> is_projection("DX", ""), is_projection("", f"{STORAGE}1"), is_projection("MR", "")
        (True, True, False)
    """
    if modality:
        return modality in PROJECTIONS
    return sop_class.removeprefix(STORAGE) in PROJECTION_CLASSES


def is_dicom(path: Path) -> bool:
    """Return whether a file is DICOM, by its suffix; if that is of no format, by its first bytes.

    Example:
        >>> is_dicom(Path("slice.IMA")), is_dicom(Path("absent"))
        (True, False)
    """
    if suffix_of(path) in SUFFIXES:
        return suffix_of(path) in DICOM
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_header(path: Path) -> Header:
    """Read the header of a DICOM image.

    Raises:
        FileNotFoundError: no such file.
        LabelsError: a DICOM file that holds labels; the message names what it is.
        NotAnImageError: any other DICOM file without an image, in the same way.
        ValueError: not a DICOM file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    data = read_tags(path, TAGS)
    with _one_line(path):
        _check_is_image(path, data)
        return _header(path, data)


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Turn any exception into the one line; pydicom decodes a value when it is asked for it."""
    try:
        yield
    except NotAnImageError:
        raise
    except Exception:
        raise unreadable(path) from None


def _header(path: Path, data: Any) -> Header:
    spacing, aspect = _spacing(data)
    size = int(data.Columns), int(data.Rows)
    names = [_text(data, name) for name in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID")]
    rescale = float(data.get("RescaleSlope") or 1), float(data.get("RescaleIntercept") or 0)
    return Header(
        path=path,
        sop_class=_text(data, "SOPClassUID"),
        modality=_text(data, "Modality").upper(),
        series=_text(data, "SeriesInstanceUID"),
        study=names[1],
        instance=_text(data, "SOPInstanceUID"),
        frame_of_reference=names[2],
        patient=next((name for name in names if name), ""),
        description=_text(data, "SeriesDescription"),
        number=int(data.get("SeriesNumber") or 0),
        size=size,
        frames=int(data.get("NumberOfFrames") or 1),
        channels=int(data.get("SamplesPerPixel") or 1),
        photometric=_text(data, "PhotometricInterpretation"),
        bits=int(data.get("BitsStored") or data.get("BitsAllocated") or 8),
        signed=bool(data.get("PixelRepresentation")),
        rescaled=rescale != (1, 0),
        place=_place(data, spacing),
        spacing=spacing,
        aspect=aspect,
    )


def read_tags(path: Path, tags: Sequence[str]) -> Any:
    """Read some tags of a DICOM file, without its pixels, as a pydicom dataset.

    Raises:
        ValueError: not a DICOM file.
    """
    import pydicom

    # a value that is against the standard is judged here, where it is used, and not warned of
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    with _one_line(path):
        data = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(tags), force=True)
    if "SOPClassUID" not in data and "MediaStorageSOPClassUID" not in data.file_meta:
        raise unreadable(path)
    return data


def frame_places(path: Path) -> list[Place] | None:
    """Return where each frame of an enhanced multi-frame file lies; ``None`` if it does not say.

    Raises:
        ValueError: not a DICOM file.
    """
    data = read_tags(path, ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
                            "SOPClassUID"))  # fmt: skip
    with _one_line(path):
        shared = next(iter(data.get("SharedFunctionalGroupsSequence") or []), None)
        frames = data.get("PerFrameFunctionalGroupsSequence") or []
        places = [frame_place(frame, shared) for frame in frames]
    complete = [place for place in places if place is not None]
    return complete if complete and len(complete) == len(places) else None


def unreadable(path: Path) -> ValueError:
    """Return the error for a file that is no DICOM file or is corrupt."""
    return ValueError(f"{path}: not a readable DICOM file; restore or remove it")


def sop_class_of(data: Any) -> str:
    """Return the UID of a file's SOP class, of the data set or else of the file's meta data."""
    return _text(data, "SOPClassUID") or str(data.file_meta.MediaStorageSOPClassUID)


def _check_is_image(path: Path, data: Any) -> None:
    from pydicom.uid import UID

    sop_class = UID(sop_class_of(data))
    kind = sop_class.removeprefix(STORAGE)
    name = NEW_CLASSES.get(kind, sop_class.name)
    derived = kind.startswith(NOT_IMAGES)
    if "Rows" in data and "Columns" in data and not derived:
        return
    # were an image that is cut off before its size left out, its series would lack a slice
    in_standard = name != str(sop_class)
    complete = in_standard or "SeriesInstanceUID" in data
    if not (sop_class.is_valid and complete) or (not derived and "Image Storage" in name):
        raise unreadable(path)
    what = f"{path}: a DICOM file of {name}, not an image"
    if kind in (SEGMENTATION, LABEL_MAP, CONTOURS):
        raise LabelsError(
            f"{what}; give it by --masks, with the series that it labels by --images, to "
            "unet-school data prepare folder, or new"
        )
    raise NotAnImageError(f"{what}; leave it out, and give the images of the study")


def _spacing(data: Any) -> tuple[tuple[float, float] | None, float]:
    """Return the distance of columns and rows, mm, and the height of a pixel to its width."""
    # distances in the plane of the detector mean nothing in a scan of the body
    tags = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
    for tag in tags if _is_projection(data) else tags[:1]:
        if data.get(tag):
            rows, columns = map(float, data[tag].value)
            return (columns, rows), rows / columns
    if data.get("PixelAspectRatio"):
        height, width = map(float, data.PixelAspectRatio)
        return None, height / width
    return None, 1.0


def _is_projection(data: Any) -> bool:
    return is_projection(_text(data, "Modality").upper(), _text(data, "SOPClassUID"))


def _place(data: Any, spacing: tuple[float, float] | None) -> Place | None:
    if not data.get("ImagePositionPatient"):
        return None
    orientation = data.get("ImageOrientationPatient") or (1, 0, 0, 0, 1, 0)
    return Place(
        np.array(data.ImagePositionPatient, float),
        np.array(orientation, float).reshape(2, 3),
        spacing or (1.0, 1.0),
    )


def frame_place(frame: Any, shared: Any) -> Place | None:
    """Return where a frame lies, by its functional groups or the shared ones; ``None``: unknown."""
    tags = {}
    for sequence, tag in (
        ("PlanePositionSequence", "ImagePositionPatient"),
        ("PlaneOrientationSequence", "ImageOrientationPatient"),
        ("PixelMeasuresSequence", "PixelSpacing"),
    ):
        for group in (frame, shared):
            if group is not None and group.get(sequence) and group[sequence][0].get(tag):
                tags[tag] = group[sequence][0][tag].value
                break
    if len(tags) < 3:
        return None
    rows, columns = map(float, tags["PixelSpacing"])
    return Place(
        np.array(tags["ImagePositionPatient"], float),
        np.array(tags["ImageOrientationPatient"], float).reshape(2, 3),
        (columns, rows),
    )


def _text(data: Any, tag: str) -> str:
    return str(data.get(tag) or "").strip()
