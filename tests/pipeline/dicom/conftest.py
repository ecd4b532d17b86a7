"""Made DICOM images of every kind of geometry, and the results that are written of a mask."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    generate_uid,
)

from pipeline.bundle.codes import Code, Structure
from pipeline.data.volumes import read_volume
from pipeline.dicom.author import Author
from pipeline.dicom.written import ImageObjects, open_checked
from pipeline.inference.further_results import InferredImage
from pipeline.inference.grid import Grid
from pipeline.inference.report import InferenceCase
from pipeline.inference.structures import measure_structures, sizes_of

ROWS, COLUMNS, SLICES = 24, 20, 7
SPACING = (0.7, 0.9)  # of columns, of rows
LABELS = {"liver": 3, "tumour": 5}
STRUCTURES = (
    Structure(1, "liver", Code("91723000", "SCT", "Anatomical Structure"),
              Code("10200004", "SCT", "Liver"), (221, 130, 101)),
    Structure(2, "tumour", Code("49755003", "SCT", "Morphologically Abnormal Structure"),
              Code("108369006", "SCT", "Neoplasm"), (240, 228, 66)),
)  # fmt: skip
AUTHOR = Author("mine", "0.1.0", "ab" * 32)


def base(path: Path, sop_class, series: str, study: str, frame: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = sop_class, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study, series, frame
    data.PatientName, data.PatientID = "Invented^Name", "ID-4711"
    data.PatientBirthDate, data.PatientSex, data.StudyID = "19700101", "F", "1"
    data.StudyDate, data.StudyTime, data.AccessionNumber = "20240101", "101010", "A1"
    data.ReferringPhysicianName, data.Manufacturer, data.Modality = "", "none", "CT"
    data.SeriesNumber = data.InstanceNumber = 1
    data.Rows, data.Columns = ROWS, COLUMNS
    data.PixelSpacing = [SPACING[1], SPACING[0]]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    return data


def texts(values) -> list[str]:
    return [f"{value:.6f}" for value in values]


def turned(degrees_x: float = 0, degrees_z: float = 0) -> np.ndarray:
    x, z = np.deg2rad([degrees_x, degrees_z])
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return about_x @ about_z


def geometry(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Directions of rows and columns, and the step from slice to slice, mm."""
    axes = turned(20, 10) if kind == "oblique" else turned()
    step = axes[:, 2] * 1.5
    if kind == "tilted":
        step = np.array([0, np.tan(np.deg2rad(15)), 1]) * 1.5
    return axes[:, :2].T, step


def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 1000, (SLICES, ROWS, COLUMNS)).astype(np.uint16)


def write_series(folder: Path, kind: str) -> Path:
    """Write a CT series; the files of a reversed one are in the order against the normal."""
    folder.mkdir()
    directions, step = geometry(kind)
    uids = [generate_uid() for _ in range(3)]
    for i, page in enumerate(pixels()):
        path = folder / f"{(SLICES - i if kind == 'reversed' else i):03d}.dcm"
        data = base(path, CTImageStorage, *uids)
        data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        data.InstanceNumber = i + 1
        data.SliceThickness = "1.5"
        data.RescaleSlope, data.RescaleIntercept = "1", "-1024"
        data.ImagePositionPatient = texts(np.array([10, -20, 30]) + i * step)
        data.ImageOrientationPatient = texts(directions.ravel())
        data.PixelData = page.tobytes()
        data.save_as(path, enforce_file_format=True)
    return folder


def write_frames(path: Path, is_shared: bool = True) -> Path:
    """Write an enhanced CT whose frames are not in the order of their positions.

    What the frames have alike stands once, or in the groups of each frame.
    """
    data = base(path, EnhancedCTImageStorage, *[generate_uid() for _ in range(3)])
    del data.PixelSpacing
    data.NumberOfFrames = SLICES
    order = np.random.default_rng(1).permutation(SLICES)
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [SPACING[1], SPACING[0]], "1.5"
    plane.ImageOrientationPatient = texts(geometry("plain")[0].ravel())
    alike = {"PixelMeasuresSequence": [measures], "PlaneOrientationSequence": [plane]}
    for name, group in alike.items() if is_shared else ():
        setattr(shared, name, Sequence(group))
    data.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for i in order:
        position, frame = Dataset(), Dataset()
        position.ImagePositionPatient = texts((10, -20, 30 + 1.5 * i))
        frame.PlanePositionSequence = Sequence([position])
        for name, group in alike.items() if not is_shared else ():
            setattr(frame, name, Sequence(group))
        frames.append(frame)
    data.PerFrameFunctionalGroupsSequence = Sequence(frames)
    data.PixelData = pixels()[order].tobytes()
    data.save_as(path, enforce_file_format=True)
    return path


def write_x_ray(path: Path) -> Path:
    data = base(path, DigitalXRayImageStorageForPresentation, *[generate_uid() for _ in range(3)])
    del data.PixelSpacing, data.FrameOfReferenceUID
    data.Modality, data.ImagerPixelSpacing = "DX", [SPACING[1], SPACING[0]]
    data.PixelData = pixels()[0].tobytes()
    data.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def made(tmp_path, real_data):
    """Return a function that makes images of a kind, and returns their reference."""

    def made(kind: str) -> Path:
        if kind in ("hippocampus_crop", "t1_post"):
            return real_data / "dicom_mr" / kind
        if kind in ("frames", "frames_alone"):
            return write_frames(tmp_path / "frames.dcm", kind == "frames")
        if kind == "x_ray":
            return write_x_ray(tmp_path / "x_ray.dcm")
        return write_series(tmp_path / kind, kind)

    return made


def blobs(shape, seed=0) -> np.ndarray:
    """Return a label map with holes, islands, and both labels."""
    from scipy import ndimage

    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.5)
    return np.select([noise > 0.06, noise > 0.01], [5, 3], 0).astype(np.uint8)


def inferred(reference: Path, seed: int = 0, labels=LABELS, **changes) -> InferredImage:
    """Return what would be inferred of an image, made without a network."""
    is_volume = not reference.name.startswith("x_ray")
    shape = read_volume(reference).array.shape
    shape = shape if is_volume else (1, *shape[1::-1])
    mask = blobs(shape, seed)
    maps = [np.where(mask == number, 200, 20).astype(np.uint8) for number in (3, 5)]

    grid = Grid.of_axes(np.diag([0.9, 0.7, 1.5] if is_volume else [0.9, 0.7]))
    measured = measure_structures(mask, labels, grid)
    sizes = sizes_of({name: own.stated() for name, own in measured.items()})
    flags = {
        "coverage": "partial", "quality": "unlike the training images",
        "differences": ["its mean is 9, expected 1 to 3"],
    }  # fmt: skip
    case = InferenceCase(reference, [{"image": str(reference)}], ())
    image = InferredImage(case, "scan.nii.gz", mask, maps, is_volume, sizes, flags)
    return image._replace(**changes)


@pytest.fixture
def results(tmp_path):
    """Return a function that writes the results of an image, and returns them as read again."""

    def results(image, kinds=("seg",), segments="binary", structures=STRUCTURES, labels=LABELS):
        source = open_checked(image.case, kinds)
        folder = tmp_path / "results"
        objects = ImageObjects(image, source, structures, labels, AUTHOR, segments)
        names = objects.write(kinds, folder)
        return {name: pydicom.dcmread(folder / name) for name in names}

    return results


@pytest.fixture
def case(tmp_path):
    """Return a function that writes a case of two series, the second changed."""

    def case(**changes):
        first, second = (write_series(tmp_path / name, "plain") for name in ("t1", "t2"))
        header = pydicom.dcmread(next(first.iterdir()))
        shared = {name: header[name].value for name in ("StudyInstanceUID", "FrameOfReferenceUID")}
        for path in second.iterdir():
            data = pydicom.dcmread(path)
            for name, value in {**shared, **changes}.items():
                setattr(data, name, value)
            data.save_as(path)
        entry = {"image": [str(first), str(second)]}
        return inferred(first)._replace(case=InferenceCase(first, [entry], ()))

    return case
