"""Small studies of tests, and what stands in for a bundle that segments them."""

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)

TODAY = "20260101"


def write_instance(path: Path, study: str, sop_class: str, modality: str, **tags: object) -> str:
    """Write an instance of 4 x 4 pixels, and return its SOPInstanceUID."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = sop_class
    data.SOPInstanceUID = generate_uid()
    data.StudyInstanceUID, data.SeriesInstanceUID = study, generate_uid()
    data.PatientName, data.PatientID, data.Modality = "Invented^Name", f"ID-{study[-8:]}", modality
    data.StudyDate, data.StudyTime, data.AccessionNumber, data.StudyID = TODAY, "", "", ""
    data.PatientBirthDate = data.PatientSex = data.ReferringPhysicianName = ""
    data.Rows = data.Columns = 4
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation, data.SamplesPerPixel = 15, 0, 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.PixelData = np.arange(16, dtype=np.uint16).tobytes()
    for keyword, value in tags.items():
        setattr(data, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return str(data.SOPInstanceUID)


def write_study(folder: Path, instances: int = 2, **tags: object) -> str:
    """Write a study, and return its StudyInstanceUID."""
    study, series = generate_uid(), generate_uid()
    for number in range(1, instances + 1):
        write_instance(
            folder / f"{number}.dcm", study, CTImageStorage, "CT",
            SeriesInstanceUID=series, InstanceNumber=number,
            ImagePositionPatient=[0, 0, number], ImageOrientationPatient=[1, 0, 0, 0, 1, 0], **tags,
        )  # fmt: skip
    return study


class StandIn:
    """Writes a secondary capture instead of a segmentation, and a line about each study.

    Args:
        record: file of the lines.
    """

    def __init__(self, record: Path) -> None:
        self.record = record

    def __call__(self, study: Path, out: Path) -> list[Path]:
        images = [pydicom.dcmread(path) for path in sorted(study.glob("*.dcm"))]
        if not any("PixelData" in image for image in images):
            raise ValueError(f"{study.name}: no image in this study; see what is sent")
        path = out / "result.dcm"
        first = images[0]
        write_instance(
            path, str(first.StudyInstanceUID), SecondaryCaptureImageStorage, "OT",
            PatientID=first.PatientID,
        )  # fmt: skip
        with self.record.open("a") as file:
            file.write(f"{first.StudyInstanceUID} {len(images)}\n")
        return [path]

    def lines(self) -> list[str]:
        return self.record.read_text().splitlines() if self.record.exists() else []


def pixels_by_uid(folder: Path) -> dict[str, bytes]:
    """Return the bytes of the pixels of each instance below a folder, by its SOPInstanceUID."""
    found = {}
    for path in sorted(folder.rglob("*.dcm")):
        data = pydicom.dcmread(path)
        found[str(data.SOPInstanceUID)] = data.PixelData
    return found


def elements_by_uid(folder: Path) -> dict[str, Dataset]:
    """Return every instance below a folder, by its SOPInstanceUID."""
    read = [pydicom.dcmread(path) for path in sorted(folder.rglob("*.dcm"))]
    return {str(data.SOPInstanceUID): data for data in read}
