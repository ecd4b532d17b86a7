"""Secondary captures: pictures of the planes with the outlines, for viewers without segments."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom.dataset import FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import SecondaryCaptureImageStorage
from scipy import ndimage

from pipeline.dicom.author import NOTICE, Author
from pipeline.dicom.objects import Kind, new_object, set_instance
from pipeline.dicom.source import SourceImage
from pipeline.dicom.structure_masks import StructureMasks
from pipeline.pages.pictures import in_bytes

KIND = Kind("capture", "Outlines", "OT", SecondaryCaptureImageStorage)
MARGIN = 2
"""Pixels between the notice and the corner of the picture."""
MIN_SIDE_WITH_NOTICE = 192
"""Pixels of a smaller picture would be hidden by the notice; its series says it."""


def captures(
    source: SourceImage, masks: StructureMasks, frames: NDArray[Any], author: Author
) -> Iterator[FileDataset]:
    """Return a picture of each plane that a structure touches; of none, the middle plane.

    Args:
        source: the images.
        masks: of the structures.
        frames: values of the images, ``(planes, rows, columns[, 3])``.
        author: the model.
    """
    grey = frames if frames.dtype == np.uint8 and frames.ndim == 4 else in_bytes(frames)
    touched = np.flatnonzero((masks.label_map != 0).any(axis=(1, 2))).tolist()
    data = new_object(KIND, source, author)
    for plane in touched or [len(source.planes) // 2]:
        yield _capture(data, source, plane, _picture(grey[plane], masks, plane))


def _capture(
    data: FileDataset, source: SourceImage, plane: int, picture: NDArray[np.uint8]
) -> FileDataset:
    set_instance(data, plane + 1)
    data.ImageType = ["DERIVED", "SECONDARY"]
    data.ConversionType = "WSD"
    data.PatientOrientation = data.Laterality = None
    data.BurnedInAnnotation = "NO"
    data.DerivationDescription = f"Outlines of structures, {NOTICE}"
    data.SourceImageSequence = Sequence([source.reference(plane)])
    data.SamplesPerPixel, data.PhotometricInterpretation = 3, "RGB"
    data.PlanarConfiguration = 0
    data.Rows, data.Columns = picture.shape[:2]
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    data.PixelData = _even(picture.tobytes())
    return data


def _picture(plane: NDArray[np.uint8], masks: StructureMasks, number: int) -> NDArray[np.uint8]:
    picture = np.stack([plane] * 3, axis=-1) if plane.ndim == 2 else plane.copy()
    for structure, mask in masks.of_plane(number):
        picture[mask & ~ndimage.binary_erosion(mask)] = structure.colour
    if min(picture.shape[:2]) < MIN_SIDE_WITH_NOTICE:
        return picture
    image = Image.fromarray(picture)
    ImageDraw.Draw(image).text((MARGIN, MARGIN), NOTICE, fill=(255, 255, 255))
    return np.asarray(image)


def _even(content: bytes) -> bytes:
    """DICOM has values of an even number of bytes."""
    return content + b"\0" * (len(content) % 2)
