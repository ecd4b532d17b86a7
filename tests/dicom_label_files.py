"""Series, segmentations and contours of tests; segmentations by highdicom, contours by pydicom."""

from typing import NamedTuple

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    RTStructureSetStorage,
    generate_uid,
)

from tests.dicom_files import write_slice

AXIAL = (1, 0, 0, 0, 1, 0)
OBLIQUE = (0.8, 0.6, 0, -0.48, 0.64, 0.6)
GEOMETRIES = {
    "axial": (AXIAL, (0, 0, 3.0)),
    "reversed": (AXIAL, (0, 0, -3.0)),
    "sagittal": ((0, 1, 0, 0, 0, -1), (2.5, 0, 0)),
    "oblique": (OBLIQUE, tuple(3.0 * np.cross(OBLIQUE[:3], OBLIQUE[3:]))),
    "tilted": (AXIAL, (0, 0.7, 2.9)),
}
"""Directions of rows and columns, and the step from file to file, mm."""


class Series(NamedTuple):
    """A written series: its files in the order of their names, and its UIDs."""

    folder: object
    data: list
    uid: str
    frame_of_reference: str


def blob(shape=(6, 9, 7), seed=0):
    """Return grey values, (slices, rows, columns), without symmetry; planes end within a byte."""
    return np.random.default_rng(seed).integers(0, 1000, shape).astype(np.int16)


def write_volume(folder, pixels, geometry="axial", **tags):
    """Write a series of slices in one of the geometries."""
    folder.mkdir(parents=True, exist_ok=True)
    orientation, step = GEOMETRIES[geometry]
    usual = {
        "FrameOfReferenceUID": generate_uid(), "StudyInstanceUID": generate_uid(),
        "PatientBirthDate": "", "PatientSex": "", "StudyDate": "", "StudyTime": "",
        "StudyID": "", "AccessionNumber": "", "ReferringPhysicianName": "", "SeriesNumber": 1,
        "PositionReferenceIndicator": "", "Manufacturer": "", "SliceThickness": 3.0,
    }  # fmt: skip
    uid = tags.pop("series", generate_uid())
    for number, plane in enumerate(pixels):
        position = np.array([-10.25, 4.5, 30.0]) + number * np.array(step)
        write_slice(
            folder / f"{number:02}.dcm", plane, np.round(position, 6), orientation, uid,
            **{**usual, "InstanceNumber": number + 1, **tags},
        )  # fmt: skip
    files = [pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))]
    return Series(folder, files, uid, str(files[0].FrameOfReferenceUID))


def write_segmentation(path, series, masks, kind="BINARY", **tags):
    """Write a SEG of a mask, (slices, rows, columns), for each name; by highdicom."""
    import highdicom as hd
    from pydicom.sr.codedict import codes

    descriptions = [
        hd.seg.SegmentDescription(
            number,
            name,
            codes.SCT.Organ,
            codes.SCT.Organ,
            hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, name in enumerate(masks, 1)
    ]
    arrays = list(masks.values())
    array = arrays[0] if len(arrays) == 1 else np.stack(arrays, axis=-1)
    if kind == "LABELMAP":
        array = sum(number * mask for number, mask in enumerate(arrays, 1))
    more = {"max_fractional_value": 200} if kind == "FRACTIONAL" else {}
    segmentation = hd.seg.Segmentation(
        series.data, array if kind == "FRACTIONAL" else array.astype(np.uint8), kind, descriptions,
        generate_uid(), 100, generate_uid(), 1, "Maker", "Model", "1", "0", **more,
    )  # fmt: skip
    for key, value in tags.items():
        setattr(segmentation, key, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    segmentation.save_as(path)
    return path


def place_of(data, column, row):
    """Return the place of a pixel in a file, mm."""
    along, down = np.array(data.ImageOrientationPatient, float).reshape(2, 3)
    rows, columns = map(float, data.PixelSpacing)
    start = np.array(data.ImagePositionPatient, float)
    return start + column * columns * along + row * rows * down


def runs(plane):
    """Return a rectangle around each run of pixels in a row: contours of any mask, exactly."""
    polygons = []
    for row, line in enumerate(np.asarray(plane, bool)):
        edges = np.flatnonzero(np.diff(np.r_[False, line, False].astype(int)))
        for left, right in edges.reshape(-1, 2) - 0.5:
            top, bottom = row - 0.5, row + 0.5
            polygons.append([(left, top), (right, top), (right, bottom), (left, bottom)])
    return polygons


def write_contours(path, series, regions, kind="CLOSED_PLANAR", refer=True):
    """Write an RTSTRUCT of polygons, (column, row), by the number of their file, for each name."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
        RTStructureSetStorage,
        generate_uid(),
    )
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = RTStructureSetStorage, meta.MediaStorageSOPInstanceUID
    data.PatientID, data.Modality = series.data[0].PatientID, "RTSTRUCT"
    data.SeriesInstanceUID, data.StudyInstanceUID = generate_uid(), generate_uid()
    data.ReferencedFrameOfReferenceSequence = [_reference(series, refer)]
    data.StructureSetROISequence, data.ROIContourSequence = [], []
    for number, (name, polygons) in enumerate(regions.items(), 1):
        roi, contours = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName = number, name
        contours.ReferencedROINumber = number
        contours.ContourSequence = [
            _contour(series.data[file], polygon, kind)
            for file, of_file in polygons.items()
            for polygon in of_file
        ]
        data.StructureSetROISequence.append(roi)
        data.ROIContourSequence.append(contours)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def contours_of(masks):
    """Return the polygons of masks, (slices, rows, columns), as :func:`write_contours` has them."""
    return {
        name: {number: runs(plane) for number, plane in enumerate(mask)}
        for name, mask in masks.items()
    }


def _contour(data, polygon, kind):
    contour = Dataset()
    contour.ContourGeometricType = kind
    contour.NumberOfContourPoints = len(polygon)
    places = [place_of(data, column, row) for column, row in polygon]
    contour.ContourData = [f"{value:.10g}" for place in places for value in place]
    return contour


def _reference(series, refer):
    frame, study, of_series = Dataset(), Dataset(), Dataset()
    frame.FrameOfReferenceUID = series.frame_of_reference
    if refer:
        of_series.SeriesInstanceUID = series.uid
        of_series.ContourImageSequence = []
        for file in series.data:
            image = Dataset()
            image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = (
                CTImageStorage,
                file.SOPInstanceUID,
            )
            of_series.ContourImageSequence.append(image)
        study.RTReferencedSeriesSequence = [of_series]
        frame.RTReferencedStudySequence = [study]
    return frame
