"""What every DICOM object that is written here begins with."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from pipeline.dicom.author import MAX_LONG_STRING, SERIES_NUMBERS, Author
from pipeline.dicom.source import PATIENT_AND_STUDY, SourceImage
from pipeline.files import atomic
from pipeline.product import DISTRIBUTION
from pipeline.provenance import version_of

COPIED = (
    *PATIENT_AND_STUDY, "IssuerOfPatientID", "PatientAge", "PatientSize", "PatientWeight",
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "StudyInstanceUID", "StudyDescription",
)  # fmt: skip
"""Attributes of patient and study that a result shares with its images."""


class Kind(NamedTuple):
    """A kind of result.

    Attributes:
        name: as it is typed, one of the keys of ``SERIES_NUMBERS``.
        title: of its series.
        modality: DICOM's.
        sop_class: DICOM's.
    """

    name: str
    title: str
    modality: str
    sop_class: UID


def new_object(kind: Kind, source: SourceImage, author: Author) -> FileDataset:
    """Return an object with the patient and the study of the source, in a series of its own."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = kind.sop_class
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SpecificCharacterSet = "ISO_IR 192"
    for name in COPIED:
        if name in source.first:
            data[name] = source.first[name]
    data.SOPClassUID, data.Modality = kind.sop_class, kind.modality
    data.SeriesInstanceUID = generate_uid()
    data.SeriesNumber = SERIES_NUMBERS[kind.name]
    data.SeriesDescription = author.description(kind.title)
    _set_equipment(data, author)
    _set_times(data)
    set_instance(data, 1)
    return data


def set_instance(data: FileDataset, number: int) -> None:
    """Make an object the one of this number in its series, with a UID of its own."""
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.InstanceNumber = number


def save(data: Dataset, path: Path) -> None:
    """Write an object as a file."""
    with atomic(path) as temporary:
        data.save_as(temporary, enforce_file_format=True)


def _set_equipment(data: Dataset, author: Author) -> None:
    data.Manufacturer = DISTRIBUTION
    data.ManufacturerModelName = author.bundle[:MAX_LONG_STRING]
    data.SoftwareVersions = version_of(DISTRIBUTION)
    data.DeviceSerialNumber = author.weights_sha256


def _set_times(data: Dataset) -> None:
    now = datetime.now()
    date, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    data.SeriesDate = data.InstanceCreationDate = date
    data.SeriesTime = data.InstanceCreationTime = time
