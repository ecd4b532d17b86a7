"""The DICOM objects of one image, and their files."""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from pipeline.data.label_numbers import LabelNumbers
from pipeline.data.readers import read_page
from pipeline.data.volumes import read_volume
from pipeline.dicom.author import Author
from pipeline.dicom.capture import captures
from pipeline.dicom.codes import Structure
from pipeline.dicom.objects import save
from pipeline.dicom.report import measurement_report
from pipeline.dicom.rtstruct import structure_set
from pipeline.dicom.seg import Segments, segmentation
from pipeline.dicom.source import SourceImage, frames_of, open_source
from pipeline.dicom.structure_masks import StructureMasks
from pipeline.inference.further_results import InferredImage


def open_checked(reference: Path, kinds: Collection[str]) -> SourceImage:
    """Read the headers of an image to which results shall refer.

    Raises:
        ValueError: it is not DICOM, lacks an attribute, or lies nowhere and contours are wanted.
    """
    source = open_source(reference)
    if "rtstruct" in kinds and not source.is_placed:
        raise ValueError(
            f"{reference}: no position (ImagePositionPatient), as of an X-ray; contours of an "
            "RTSTRUCT lie in space; leave rtstruct out of --dicom"
        )
    return source


def masks_of(
    image: InferredImage, structures: Collection[Structure], labels: LabelNumbers
) -> StructureMasks:
    """Return the masks of an image's structures in the order of its planes."""
    arrays = [
        frames_of(array, image.is_volume, image.case.path) for array in (image.mask, *image.maps)
    ]
    return StructureMasks(tuple(structures), labels, arrays[0], arrays[1:])


def write_objects(
    image: InferredImage,
    source: SourceImage,
    masks: StructureMasks,
    author: Author,
    kinds: Collection[str],
    segments: Segments,
    folder: Path,
) -> list[str]:
    """Write the wanted objects of an image to a folder; return the names of their files."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for name, data in _objects(image, source, masks, author, kinds, segments):
        save(data, folder / name)
        names.append(name)
    return names


def _objects(
    image: InferredImage,
    source: SourceImage,
    masks: StructureMasks,
    author: Author,
    kinds: Collection[str],
    segments: Segments,
) -> Iterator[tuple[str, Dataset]]:
    """Return the names of the files and their content, one after the other."""
    if "seg" in kinds:
        seg = segmentation(source, masks, author, segments)
        yield "seg.dcm", seg
    if "rtstruct" in kinds:
        yield "rtstruct.dcm", structure_set(source, masks, author)
    if "sr" in kinds:
        sizes, flags = image.sizes, image.flags
        yield "sr.dcm", measurement_report(source, masks, author, seg, sizes, flags)
    if "capture" in kinds:
        frames = _pixels(source, image.case.path)
        for data in captures(source, masks, frames, author):
            yield f"capture_{int(data.InstanceNumber):04d}.dcm", data


def _pixels(source: SourceImage, reference: Path) -> NDArray[np.generic]:
    """Return the values of the planes, ``(planes, rows, columns[, 3])``."""
    if len(source.planes) > 1:
        return read_volume(reference).array.T
    return read_page(reference).array[None]
