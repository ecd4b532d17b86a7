"""DICOM files of tests, made by pydicom alone."""

import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid


def write_slice(
    path, pixels, position=(0, 0, 0), orientation=(1, 0, 0, 0, 1, 0), series="1.2.3", **tags
):
    """One file of a series, ``pixels`` rows first, by pydicom alone."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = (
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
    )
    data.PatientName, data.PatientID, data.Modality = "Invented^Name", "ID-4711", "CT"
    data.SeriesInstanceUID = data.StudyInstanceUID = series
    data.Rows, data.Columns = pixels.shape
    data.PixelSpacing = [2.0, 0.5]  # between rows, then between columns
    data.ImagePositionPatient = [float(v) for v in position]
    data.ImageOrientationPatient = [float(v) for v in orientation]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, int(pixels.dtype.kind == "i")
    for key, value in tags.items():
        setattr(data, key, value)
    data.PixelData = pixels.tobytes()
    data.save_as(path, enforce_file_format=True)
