"""The DICOM objects of one image, and their files."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from pipeline.bundle.codes import Structure
from pipeline.bundle.dicom_kinds import DicomSeg
from pipeline.data.label_numbers import LabelNumbers
from pipeline.data.readers import channel_paths, read_page
from pipeline.data.volumes import read_volume
from pipeline.dicom.author import Author
from pipeline.dicom.capture import captures
from pipeline.dicom.instances import check_count, instance_masks, named_sizes
from pipeline.dicom.objects import save
from pipeline.dicom.report import measurement_report
from pipeline.dicom.rtstruct import structure_set
from pipeline.dicom.seg import segmentation
from pipeline.dicom.source import SourceImage, frames_of, open_source
from pipeline.dicom.structure_masks import StructureMasks
from pipeline.inference.further_results import InferredImage
from pipeline.inference.report import InferenceCase


def open_checked(case: InferenceCase, kinds: Collection[str]) -> SourceImage:
    """Read the headers of the images to which results shall refer.

    Raises:
        ValueError: one is not DICOM, lacks an attribute, or lies nowhere and contours are wanted.
    """
    first, *others = channel_paths(case.entries[0]["image"])
    source = open_source(first, others)
    if "rtstruct" in kinds and not all("FrameOfReferenceUID" in one for one in source.all_headers):
        raise ValueError(
            f"{first}: no position (ImagePositionPatient), as of an X-ray; contours of an "
            "RTSTRUCT lie in space; leave rtstruct out of --dicom"
        )
    return source


@dataclass(frozen=True)
class ImageObjects:
    """The DICOM objects of one image.

    Attributes:
        image: what was inferred of it.
        source: its headers.
        structures: one for each label, in the labels' order.
        labels: name of each label and its number or numbers in the mask.
        author: the model.
        segments: how a segmentation stores its segments.
    """

    image: InferredImage
    source: SourceImage
    structures: Sequence[Structure]
    labels: LabelNumbers
    author: Author
    segments: DicomSeg

    def write(self, kinds: Collection[str], folder: Path) -> list[str]:
        """Write objects of these kinds to a folder; return the names of their files.

        Raises:
            ValueError: more instances than one of the kinds can hold.
        """
        folder.mkdir(parents=True, exist_ok=True)
        names = []
        for name, data in self._made(kinds):
            save(data, folder / name)
            names.append(name)
        return names

    def _made(self, kinds: Collection[str]) -> Iterator[tuple[str, Dataset]]:
        """Return the names of the files and their content, one after the other."""
        masks, sizes = self._masks(), self.image.sizes
        instances = self.image.instances
        if instances is not None and instances.sizes:  # of none, the segment of the label is empty
            check_count(self.image.case.path, len(instances.sizes), kinds, self.segments)
            masks = instance_masks(masks, self._frames(instances.numbers), len(instances.sizes))
            sizes = named_sizes(masks, instances.sizes)
        source, author = self.source, self.author
        if "seg" in kinds:
            seg = segmentation(source, masks, author, self.segments)
            yield "seg.dcm", seg
        if "rtstruct" in kinds:
            yield "rtstruct.dcm", structure_set(source, masks, author)
        if "sr" in kinds:
            single = None if instances is None else instances.sizes
            flags = self.image.flags
            yield "sr.dcm", measurement_report(source, masks, author, seg, sizes, flags, single)
        if "capture" in kinds:
            for data in captures(source, masks, self._pixels(), author):
                yield f"capture_{int(data.InstanceNumber):04d}.dcm", data

    def _masks(self) -> StructureMasks:
        """Return the masks of the structures in the order of the planes."""
        label_map, *maps = (self._frames(one) for one in (self.image.mask, *self.image.maps))
        return StructureMasks(tuple(self.structures), self.labels, label_map, maps)

    def _frames(self, array: NDArray[Any]) -> NDArray[Any]:
        return frames_of(array, self.image.is_volume, self.image.case.path)

    def _pixels(self) -> NDArray[np.generic]:
        """Return the values of the planes, ``(planes, rows, columns[, 3])``."""
        path = self.image.case.path
        if len(self.source.planes) > 1:
            return read_volume(path).array.T
        return read_page(path).array[None]
