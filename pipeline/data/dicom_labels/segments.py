"""Segmentations (SEG): frames of a structure each, in any order, or label maps."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.data.decoding import check_size
from pipeline.data.dicom_header import LABEL_MAP, Place, frame_place, unreadable
from pipeline.data.dicom_labels.grid import ImageGrid
from pipeline.data.dicom_labels.objects import LabelObject, labels_of_file
from pipeline.data.dicom_labels.rule import Structure
from pipeline.data.dicom_pixels import read_dataset, stored_values


class _Frame(NamedTuple):
    """A frame before its pixels are read.

    Attributes:
        segment: number of its segment; ``None``: its pixels are the numbers of segments.
        place: where it lies; ``None``: the file does not say.
    """

    segment: int | None
    place: Place | None


def segment_voxels(
    labels: LabelObject, image: ImageGrid, names: dict[int, str], fraction: float
) -> Iterator[Structure]:
    """Yield the voxels of each segment, frame by frame.

    Args:
        labels: the segmentation.
        image: grid of the image that it labels.
        names: name of each segment that is read, by its number.
        fraction: share of a voxel, or probability, from which a fractional segment has it.

    Raises:
        ValueError: the file is corrupt, or a frame does not lie on the grid of the image.
    """
    data = read_dataset(labels.path)
    frames = _frames(labels.path, data, labels.kind == LABEL_MAP)
    pixels_of_frames = _pixels(labels.path, data)
    for number, (frame, pixels) in enumerate(zip(frames, pixels_of_frames, strict=True), 1):
        for segment, inside in _inside(frame, pixels, _threshold(data, fraction), names):
            rows, columns = np.nonzero(inside)
            if not len(rows):
                continue
            place = frame.place or _place_of_image(labels, image, inside.shape)
            try:
                yield names[segment], image.voxels(place, rows, columns)
            except ValueError as error:
                raise ValueError(
                    f"{labels.path}: frame {number} ({names[segment]}): {error}; expected the grid "
                    "of its image; resample it to the image, and export it again"
                ) from None


def _inside(
    frame: _Frame, pixels: NDArray[Any], threshold: float, names: dict[int, str]
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield each segment of a frame that is read, and where it is."""
    if frame.segment is None:
        for number in np.unique(pixels).tolist():
            if number in names:
                yield number, pixels == number
    elif frame.segment in names:
        yield frame.segment, pixels >= threshold


def _threshold(data: Any, fraction: float) -> float:
    """Return the smallest stored value of a voxel that belongs to a segment."""
    if data.get("SegmentationType") != "FRACTIONAL":
        return 1.0
    # a voxel of nothing belongs to no segment, however small the fraction
    return max(fraction * float(data.get("MaximumFractionalValue") or 255), 1.0)


def _frames(path: Path, data: Any, label_map: bool) -> list[_Frame]:
    with labels_of_file(path):
        shared = next(iter(data.get("SharedFunctionalGroupsSequence") or []), None)
        groups = data.get("PerFrameFunctionalGroupsSequence") or []
        frames = [
            _Frame(None if label_map else _segment(frame, shared), frame_place(frame, shared))
            for frame in groups
        ]
        count = int(data.get("NumberOfFrames") or 1)
    if len(frames) != count:
        raise ValueError(
            f"{path}: {count} frames, {len(frames)} descriptions of frames; expected one of each; "
            "export it again"
        )
    return frames


def _segment(frame: Any, shared: Any) -> int:
    for group in (frame, shared):
        if group is not None and group.get("SegmentIdentificationSequence"):
            return int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
    raise ValueError("the segment of a frame")


def _pixels(path: Path, data: Any) -> Iterator[NDArray[Any]]:
    """Yield the frames, ``(rows, columns)``; bits are unpacked one frame at a time."""
    with labels_of_file(path):
        frames = int(data.get("NumberOfFrames") or 1)
        size = int(data["Rows"].value), int(data["Columns"].value)
        packed_bits = data["BitsAllocated"].value == 1 and not _is_compressed(data)
    check_size(path, (frames, *size))
    if not packed_bits:
        yield from stored_values(path, data).reshape(frames, *size)
        return
    packed, pixels = np.frombuffer(data.get("PixelData") or b"", np.uint8), size[0] * size[1]
    if len(packed) * 8 < frames * pixels:
        raise unreadable(path)
    for first in range(0, frames * pixels, pixels):
        # a frame may begin within a byte
        part = packed[first // 8 : (first + pixels + 7) // 8]
        bits = np.unpackbits(part, bitorder="little")[first % 8 :][:pixels]
        yield bits.reshape(size)


def _is_compressed(data: Any) -> bool:
    syntax = data.file_meta.get("TransferSyntaxUID")
    return bool(syntax and syntax.is_compressed)


def _place_of_image(labels: LabelObject, image: ImageGrid, shape: tuple[int, ...]) -> Place:
    """Return the place of a flat image, whose segments need none."""
    (columns, rows, slices), plane = image.shape, image.series.slices[0]
    if slices > 1 or shape != (rows, columns):
        raise ValueError(
            f"{labels.path}: frames of {shape[1]} x {shape[0]} pixels without a position; expected "
            f"positions in the image of {columns} x {rows} x {slices}; export it again"
        )
    return Place(plane.position, plane.directions, plane.spacing)
