"""RT structure sets: the outlines of each structure, for planning a radiotherapy."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import RTStructureSetStorage

from pipeline.bundle.codes import Code, Structure
from pipeline.data.dicom import Slice
from pipeline.dicom.author import NOTICE, Author
from pipeline.dicom.channels import by_series, image_item
from pipeline.dicom.contours import Polygon, outlines
from pipeline.dicom.objects import Kind, new_object
from pipeline.dicom.source import SourceImage
from pipeline.dicom.structure_masks import StructureMasks

KIND = Kind("rtstruct", "Contours", "RTSTRUCT", RTStructureSetStorage)
DIGITS = 4
"""Decimal places of a millimetre: a tenth of a micrometre."""
STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"
"""Detached Study Management: what the standard has a study referred to as."""


def structure_set(source: SourceImage, masks: StructureMasks, author: Author) -> FileDataset:
    """Return the contours of the structures, in the frame of reference of the source.

    A structure without a pixel has no contour.

    Args:
        source: the images, which lie in a frame of reference.
        masks: of the structures.
        author: the model.
    """
    data = new_object(KIND, source, author)
    data.OperatorsName = ""
    data.FrameOfReferenceUID = source.first.FrameOfReferenceUID
    data.PositionReferenceIndicator = ""
    data.StructureSetLabel = "AUTOMATIC"
    data.StructureSetName = author.description("Contours")
    data.StructureSetDescription = f"Made by a network, {NOTICE}"
    data.StructureSetDate, data.StructureSetTime = data.SeriesDate, data.SeriesTime
    data.ApprovalStatus = "UNAPPROVED"
    data.ReferencedFrameOfReferenceSequence = Sequence(_frames_of_reference(source))
    structures = masks.structures
    data.StructureSetROISequence = Sequence([_roi(one, source, author) for one in structures])
    data.ROIContourSequence = Sequence([_contours(source, *one) for one in masks])
    data.RTROIObservationsSequence = Sequence([_observation(one) for one in structures])
    return data


def code_item(code: Code) -> Dataset:
    """Return a code as an item of a sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code
    return item


def _frames_of_reference(source: SourceImage) -> Iterator[Dataset]:
    """Return the images by frame of reference, study and series; those of the contours first."""
    frames: dict[str, dict[str, list[Dataset]]] = {}
    for header in source.all_headers:
        studies = frames.setdefault(header.FrameOfReferenceUID, {})
        studies.setdefault(header.StudyInstanceUID, []).append(header)
    for frame, studies in frames.items():
        item = Dataset()
        item.FrameOfReferenceUID = frame
        item.RTReferencedStudySequence = Sequence([_study(*one) for one in studies.items()])
        yield item


def _study(uid: str, headers: list[Dataset]) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = STUDY_CLASS, uid
    item.RTReferencedSeriesSequence = Sequence(
        [_series(*one) for one in by_series(headers).items()]
    )
    return item


def _series(uid: str, headers: list[Dataset]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = uid
    item.ContourImageSequence = Sequence([image_item(header) for header in headers])
    return item


def _roi(structure: Structure, source: SourceImage, author: Author) -> Dataset:
    item = Dataset()
    item.ROINumber = structure.number
    item.ReferencedFrameOfReferenceUID = source.first.FrameOfReferenceUID
    item.ROIName = structure.name
    item.ROIGenerationAlgorithm = "AUTOMATIC"
    item.ROIGenerationDescription = f"{author.bundle} {author.version}"[:64]
    return item


def _contours(source: SourceImage, structure: Structure, mask: NDArray[np.bool_]) -> Dataset:
    item = Dataset()
    item.ROIDisplayColor = list(structure.colour)
    item.ReferencedROINumber = structure.number
    contours = list(_plane_contours(source, mask))
    if contours:
        item.ContourSequence = Sequence(contours)
    return item


def _plane_contours(source: SourceImage, mask: NDArray[np.bool_]) -> Iterator[Dataset]:
    number = 0
    for plane in map(int, np.flatnonzero(mask.any(axis=(1, 2)))):
        for polygon in outlines(mask[plane]):
            number += 1
            yield _contour(source, plane, polygon, number)


def _contour(source: SourceImage, plane: int, polygon: Polygon, number: int) -> Dataset:
    item = Dataset()
    item.ContourNumber = number
    item.ContourImageSequence = Sequence([source.reference(plane)])
    item.ContourGeometricType = "CLOSED_PLANAR"
    item.NumberOfContourPoints = len(polygon)
    points = to_patient(source.planes[plane], polygon).ravel()
    item.ContourData = [f"{value:.{DIGITS}f}" for value in points]
    return item


def to_patient(plane: Slice, polygon: Polygon) -> NDArray[np.float64]:
    """Return the places of points of a plane, mm, in DICOM's axes.

    Args:
        plane: of a series.
        polygon: ``(N, 2)``, column and row.

    Returns:
        ``(N, 3)``.
    """
    return plane.position + (polygon * plane.spacing) @ plane.directions


def _observation(structure: Structure) -> Dataset:
    item = Dataset()
    item.ObservationNumber = structure.number
    item.ReferencedROINumber = structure.number
    item.RTROIIdentificationCodeSequence = Sequence([code_item(structure.type)])
    item.RTROIInterpretedType = "ORGAN"
    item.ROIInterpreter = ""
    return item
