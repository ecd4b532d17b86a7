import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from pipeline.bundle import Bundle


@pytest.fixture
def start(bundle, phantom, small, tmp_path):
    """Return a function that initialises a run of the bundle, small, in this process."""

    def start(run_id="training", overlays=(), **overrides):
        settings = {
            "dataset_dir": str(phantom),
            "models_dir": str(tmp_path / "models"),
            "tracking_dir": str(tmp_path / "mlruns"),
            **small,
            **{key.replace("__", "#"): value for key, value in overrides.items()},
        }
        workflow = Bundle(bundle.parent, overlays, settings).workflow(run_id)
        workflow.initialize()
        return workflow

    return start


def _write_slice(
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


@pytest.fixture(scope="session")
def write_slice():
    return _write_slice
