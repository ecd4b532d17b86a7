"""DICOM segmentations: a segment for each structure."""

from typing import Any

import numpy as np
from highdicom import UID
from highdicom.color import CIELabColor
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationTypeValues,
    SegmentDescription,
)
from highdicom.sr import CodedConcept
from numpy.typing import NDArray

from pipeline.bundle.codes import Code, Structure
from pipeline.bundle.dicom_kinds import DicomSeg
from pipeline.dicom.author import SERIES_NUMBERS, Author
from pipeline.dicom.channels import refer_to
from pipeline.dicom.source import SourceImage
from pipeline.dicom.structure_masks import StructureMasks
from pipeline.inference.eight_bits import WHITE

LABEL = "SEGMENTATION"


def segmentation(
    source: SourceImage, masks: StructureMasks, author: Author, segments: DicomSeg
) -> Segmentation:
    """Return the segmentation of a source, which refers to each of its images.

    Args:
        source: the images.
        masks: of the structures.
        author: the model.
        segments: how they are stored.

    Raises:
        ValueError: structures that overlap, as one map of numbers.
    """
    kind = SegmentationTypeValues[segments.upper()]
    data = Segmentation(
        source_images=list(source.headers),
        pixel_array=source.in_file_order(_pixels(masks, segments)),
        segmentation_type=kind,
        segment_descriptions=[_description(one, author) for one in masks.structures],
        series_instance_uid=UID(),
        series_number=SERIES_NUMBERS["seg"],
        sop_instance_uid=UID(),
        instance_number=1,
        max_fractional_value=WHITE,
        content_label=LABEL,
        content_description=author.description("Segmentation"),
        series_description=author.description("Segmentation"),
        # readers place each mask by its own position; a source without any has all frames in order
        omit_empty_frames=source.is_placed,
        specific_character_set="ISO_IR 192",
        **author.equipment(),
    )
    if not source.is_placed:  # the standard wants what is right and what is below in a flat image
        data.PatientOrientation = source.first.get("PatientOrientation")
    refer_to(data, source.channels)  # highdicom takes the images of one series
    return data


def coded(code: Code) -> CodedConcept:
    """Return a code as highdicom has it."""
    return CodedConcept(code.value, code.scheme, code.meaning)


def _pixels(masks: StructureMasks, segments: DicomSeg) -> NDArray[Any]:
    if segments == "fractional":
        maps = [masks.probability(structure) for structure in masks.structures]
        return np.stack(maps, axis=-1).astype(np.float32) / WHITE
    if not masks.overlap:
        return masks.segment_numbers()
    if segments == "labelmap":
        raise ValueError(
            "--dicom-seg labelmap: the labels overlap, and a pixel of a label map has one; choose "
            "binary or fractional"
        )
    return masks.stacked()


def _description(structure: Structure, author: Author) -> SegmentDescription:
    return SegmentDescription(
        segment_number=structure.number,
        segment_label=structure.name,
        segmented_property_category=coded(structure.category),
        segmented_property_type=coded(structure.type),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=author.algorithm(),
        tracking_uid=UID(),
        tracking_id=structure.name,
        display_color=CIELabColor.from_rgb(*structure.colour),
    )
