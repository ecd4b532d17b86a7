"""The DICOM files that hold labels: what they label, and the names of their structures.

The names are a person's: "Liver (auto)" becomes ``Liver auto``, since files are named after labels.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.data.dicom_header import CONTOURS, STORAGE, read_tags, sop_class_of

CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
"""Types of contours that enclose an area."""
REFERENCES = (
    "ReferencedSeriesSequence", "StudiesContainingOtherReferencedInstancesSequence",
    "ReferencedFrameOfReferenceSequence",
)  # fmt: skip
NOT_IN_NAMES = re.compile(r"[^\w -]+")
BACKGROUND = "background"


class LabelObject(NamedTuple):
    """A segmentation or a set of contours, its pixels not yet read.

    Attributes:
        path: its file.
        kind: its SOP class, below :data:`pipeline.data.dicom_header.STORAGE`.
        instances: UIDs of the images that it refers to.
        series: UIDs of their series.
        frames_of_reference: UIDs of the spaces in which it lies.
        names: name of each structure, by its number in the file.
        without_area: names of its structures that are points or open lines alone.
    """

    path: Path
    kind: str
    instances: frozenset[str]
    series: frozenset[str]
    frames_of_reference: frozenset[str]
    names: dict[int, str]
    without_area: tuple[str, ...] = ()

    @property
    def is_contours(self) -> bool:
        """Whether it holds contours, and no pixels."""
        return self.kind == CONTOURS


def label_name(text: str) -> str:
    """Return the name of a structure as a label may have it: letters, digits, blanks, - and _.

    Example:
        >>> label_name(" Liver (auto) "), label_name("GTV+2mm"), label_name("(?)")
        ('Liver auto', 'GTV 2mm', '')
    """
    return " ".join(NOT_IN_NAMES.sub(" ", text).split()).lstrip("-").strip()


def read_object(path: Path) -> LabelObject:
    """Read what a segmentation or a set of contours refers to, and the names of its structures.

    Raises:
        ValueError: the file is corrupt.
    """
    tags = ("SOPClassUID", "FrameOfReferenceUID", *REFERENCES, "SegmentSequence",
            "StructureSetROISequence", "ROIContourSequence")  # fmt: skip
    data = read_tags(path, tags)
    with labels_of_file(path):
        return _object(path, data)


@contextmanager
def labels_of_file(path: Path) -> Iterator[None]:
    """Turn any exception of reading what a file of labels holds into one line.

    Example:
        >>> with labels_of_file(Path("seg.dcm")):
        ...     {}["SegmentSequence"]
        Traceback (most recent call last):
        ValueError: seg.dcm: DICOM labels that lack or break 'SegmentSequence'; export them again
    """
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{path}: DICOM labels that lack or break {reason}; export them again"
        ) from None


def _object(path: Path, data: Any) -> LabelObject:
    kind = sop_class_of(data).removeprefix(STORAGE)
    referred = [data[tag] for tag in REFERENCES if tag in data]
    places = [data.get("FrameOfReferenceUID"), *_uids(referred, "FrameOfReferenceUID")]
    names, without_area = (
        _regions(data) if kind == CONTOURS else (_segments(data["SegmentSequence"].value), ())
    )
    return LabelObject(
        path,
        kind,
        frozenset(_uids(referred, "ReferencedSOPInstanceUID")),
        frozenset(_uids(referred, "SeriesInstanceUID")),
        frozenset(str(uid) for uid in places if uid),
        names,
        without_area,
    )


def _uids(sequences: Sequence[Any], keyword: str) -> Iterator[str]:
    for sequence in sequences:
        for item in sequence.value:
            for element in item.iterall():
                if element.keyword == keyword:
                    yield str(element.value)


def _segments(segments: Sequence[Any]) -> dict[int, str]:
    names = {}
    for segment in segments:
        number = int(segment.SegmentNumber)
        name = label_name(str(segment.get("SegmentLabel") or "")) or f"segment {number}"
        if name.casefold() != BACKGROUND:  # which label maps may number, too
            names[number] = name
    return names


def _regions(data: Any) -> tuple[dict[int, str], tuple[str, ...]]:
    """Return the regions of interest with an area or without any contour, and all others."""
    kinds = {
        int(roi.ReferencedROINumber): {
            str(contour.ContourGeometricType) for contour in roi.get("ContourSequence") or []
        }
        for roi in data.get("ROIContourSequence") or []
    }
    names, without_area = {}, []
    for roi in data["StructureSetROISequence"].value:
        number = int(roi.ROINumber)
        name = label_name(str(roi.get("ROIName") or "")) or f"ROI {number}"
        if kinds.get(number) and not kinds[number] & set(CLOSED):
            without_area.append(name)
        else:
            names[number] = name
    return names, tuple(without_area)
