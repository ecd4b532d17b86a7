"""Structured reports of the sizes of structures: DICOM's template 1500."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from highdicom import UID
from highdicom.seg import Segmentation
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    ReferencedSegment,
    ReferencedSegmentationFrame,
    RelationshipTypeValues,
    SourceImageForSegmentation,
    SourceSeriesForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from pipeline.bundle.codes import Structure
from pipeline.dicom.author import MAX_LONG_STRING, NOTICE, SERIES_NUMBERS, Author
from pipeline.dicom.seg import coded
from pipeline.dicom.source import SourceImage
from pipeline.dicom.structure_masks import StructureMasks
from pipeline.inference.eight_bits import WHITE
from pipeline.inference.structures import Sizes
from pipeline.product import DISTRIBUTION

CODING_SCHEME = "99UNETSCHOOL"
"""Of the codes that no public scheme has."""
PROBABILITY = CodedConcept(
    "PROBABILITY", CODING_SCHEME, "Probability of the structure by the network"
)
COVERAGE = CodedConcept("COVERAGE", CODING_SCHEME, "Coverage of the image by the mask")
QUALITY = CodedConcept("QUALITY", CODING_SCHEME, "Likeness to the training images")
UNITS = {
    "ml": (codes.SCT.Volume, CodedConcept("mL", "UCUM", "milliliter")),
    "mm2": (codes.SCT.Area, CodedConcept("mm2", "UCUM", "square millimeter")),
    "voxels": (codes.SCT.Volume, CodedConcept("{voxels}", "UCUM", "voxels")),
    "pixels": (codes.SCT.Area, CodedConcept("{pixels}", "UCUM", "pixels")),
}
"""What each size is a measurement of, and its unit."""
ONE = CodedConcept("1", "UCUM", "no units")
PROBABILITY_DIGITS = 3
SIZE_DIGITS = 10
TOTAL = "all instances"
"""What a viewer calls the group of all."""


def measurement_report(
    source: SourceImage,
    masks: StructureMasks,
    author: Author,
    segments: Segmentation,
    sizes: Sizes,
    flags: Mapping[str, Any],
    instances: Collection[Mapping[str, float]] | None = None,
) -> ComprehensiveSR:
    """Return the report of the segments of a segmentation.

    For each structure: volume, of a flat image area, mean probability, coverage of the image, and
    whether the image is like those of the training; the differences are a comment. Of instances,
    a further group has their number and what they measure together.

    Args:
        source: the images.
        masks: of the structures, with their probabilities.
        author: the model.
        segments: the segmentation that the report refers to.
        sizes: of each structure.
        flags: ``coverage``, ``quality`` and ``differences``.
        instances: sizes of each, where instances are separated; None: they are not.
    """
    evaluations = [
        QualitativeEvaluation(COVERAGE, _own("COVERAGE", f"{flags['coverage']} mask")),
        QualitativeEvaluation(QUALITY, _own("QUALITY", str(flags["quality"]))),
    ]
    groups = [
        _group(source, structure, segments, author, evaluations, _measurements(masks, structure,
               sizes[structure.name]))
        for structure in masks.structures
    ]  # fmt: skip
    if instances is not None:
        groups.append(_total(masks.structures[0], instances, author))
    report = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=_observer(author)),
        procedure_reported=CodedConcept("363679005", "SCT", "Imaging procedure"),
        imaging_measurements=groups,
    )
    for text in (f"Made by a network, {NOTICE}", *flags["differences"]):
        report[0].ContentSequence.append(_comment(text))
    data = ComprehensiveSR(
        evidence=[*source.all_headers, segments],
        content=report[0],
        series_instance_uid=UID(),
        series_number=SERIES_NUMBERS["sr"],
        sop_instance_uid=UID(),
        instance_number=1,
        is_complete=True,
        series_description=author.description("Measurements"),
        specific_character_set="ISO_IR 192",
        **author.equipment(),
    )
    data.CodingSchemeIdentificationSequence = [_own_scheme()]
    return data


def _own_scheme() -> Dataset:
    """Say who is responsible for the codes that no public scheme has."""
    item = Dataset()
    item.CodingSchemeDesignator, item.CodingSchemeName = CODING_SCHEME, DISTRIBUTION
    item.CodingSchemeResponsibleOrganization = DISTRIBUTION
    return item


def _group(
    source: SourceImage,
    structure: Structure,
    segments: Segmentation,
    author: Author,
    evaluations: list[QualitativeEvaluation],
    measurements: list[Measurement],
) -> Any:
    shared: dict[str, Any] = {
        "tracking_identifier": TrackingIdentifier(
            uid=UID(segments.SegmentSequence[_place(segments, structure)].TrackingUID),
            identifier=structure.name,
        ),
        "measurements": measurements,
        "qualitative_evaluations": evaluations,
        **_subject(structure, author),
    }
    if len(source.planes) == 1:
        frame = _segment_of_flat_image(source, structure, segments)
        return PlanarROIMeasurementsAndQualitativeEvaluations(referenced_segment=frame, **shared)
    segment = ReferencedSegment(
        segments.SOPClassUID,
        segments.SOPInstanceUID,
        segment_number=structure.number,
        source_series=SourceSeriesForSegmentation(source.first.SeriesInstanceUID),
    )
    return VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **shared)


def _total(
    structure: Structure, instances: Collection[Mapping[str, float]], author: Author
) -> MeasurementsAndQualitativeEvaluations:
    """Return the number of instances, and what they measure together."""
    units = next(iter(instances), {})
    sums = {unit: sum(sizes[unit] for sizes in instances) for unit in units}
    number = Measurement(codes.SCT.Quantity, len(instances), ONE)
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=UID(), identifier=TOTAL),
        measurements=[number, *_sizes(sums, codes.SCT.Total)],
        **_subject(structure, author),
    )


def _subject(structure: Structure, author: Author) -> dict[str, Any]:
    """Return what a group of measurements says of what was found, and by what."""
    return {
        "finding_category": coded(structure.category),
        "finding_type": coded(structure.type),
        "algorithm_id": AlgorithmIdentification(
            name=author.bundle[:MAX_LONG_STRING],
            version=author.version,
            parameters=[f"{name}={value}" for name, value in author.parameters.items()],
        ),
    }


def _place(segments: Segmentation, structure: Structure) -> int:
    """Return where a structure's segment is in its sequence: a label map has one of background."""
    numbers = [int(item.SegmentNumber) for item in segments.SegmentSequence]
    return numbers.index(structure.number)


def _segment_of_flat_image(
    source: SourceImage, structure: Structure, segments: Segmentation
) -> ReferencedSegmentationFrame:
    frame = ReferencedSegmentationFrame(
        segments.SOPClassUID,
        segments.SOPInstanceUID,
        frame_number=1,
        segment_number=structure.number,
        source_image=SourceImageForSegmentation(
            source.first.SOPClassUID, source.first.SOPInstanceUID
        ),
    )
    # the standard wants one of frame and segment, and a segment of a flat image has one frame
    del frame[0].ReferencedSOPSequence[0].ReferencedFrameNumber
    return frame


def _measurements(
    masks: StructureMasks, structure: Structure, sizes: Mapping[str, float]
) -> list[Measurement]:
    measured = list(_sizes(sizes))
    within = masks.probability(structure)[masks.mask(structure)]
    if within.size:
        mean = round(float(within.mean(dtype=np.float64)) / WHITE, PROBABILITY_DIGITS)
        measured.append(Measurement(PROBABILITY, mean, ONE, derivation=codes.SCT.Mean))
    return measured


def _sizes(sizes: Mapping[str, float], derivation: Code | None = None) -> Iterator[Measurement]:
    for unit, size in sizes.items():
        if unit in ("ml", "mm2") or len(sizes) == 1:  # pixels where the size of one is not known
            concept, name = UNITS[unit]
            stated = float(f"{size:.{SIZE_DIGITS}g}")
            yield Measurement(concept, stated, name, derivation=derivation)


def _own(value: str, meaning: str) -> CodedConcept:
    """Return a code of our own for the value of a flag."""
    return CodedConcept(f"{value[:8]}_{meaning.split()[0].upper()}"[:16], CODING_SCHEME, meaning)


def _observer(author: Author) -> ObserverContext:
    return ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=UID(),
            name=author.bundle[:MAX_LONG_STRING],
            manufacturer_name=DISTRIBUTION,
            model_name=author.bundle[:MAX_LONG_STRING],
        ),
    )


def _comment(text: str) -> TextContentItem:
    return TextContentItem(codes.DCM.Comment, text, RelationshipTypeValues.CONTAINS)
