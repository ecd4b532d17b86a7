"""Decoding of DICOM pixels.

Images are shown as a viewer shows them; the numbers of a mask mean what they are.

SimpleITK and pydicom are imported inside the functions: their imports take half a second, which a
bundle for other formats does not need.
"""

import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.decoding import check_size, native
from pipeline.data.dicom_header import Header, read_header, unreadable
from pipeline.data.pixels import Pixels
from pipeline.data.radiograph import as_displayed

PIXEL_TAGS = (
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows",
    "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData",
)  # fmt: skip


def _has_no_trace(record: logging.LogRecord) -> bool:
    return not record.exc_info


# pydicom logs the stack trace of what it raises next, which becomes one line here
logging.getLogger("pydicom.pixels.decoders.base").addFilter(_has_no_trace)


def read_plane(path: Path, label: bool = False) -> NDArray[np.generic]:
    """Read the pixels of a file of one frame, ``(rows, columns)``; colour has a third axis, RGB.

    An image is shown as a viewer shows it. Of CT, MR and the like the rescaled values are returned;
    of a projection what :func:`pipeline.data.radiograph.as_displayed` returns. MONOCHROME1, in
    which low values are bright, is inverted.

    A mask (``label``) has its stored numbers, whatever the file says of their display, except
    that a black and white one in MONOCHROME1 is inverted, see :func:`label_numbers`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is corrupt, is no image, or has several frames.
    """
    header = read_header(path)
    if header.frames > 1:
        raise ValueError(
            f"{path}: {header.frames} frames, a volume; expected one flat image; plan a bundle for "
            "volumes, or export the frames as files"
        )
    return read_frames(header, label)[0]


def read_dicom_page(path: Path, page: int = 0, label: bool = False) -> Pixels:
    """Read one frame of a file as :func:`read_plane` does, with what the file says of it.

    The pixels stay as they are, square or not; ``spacing`` holds their height and width, mm, and
    ``aspect`` their ratio, which some files give alone (PixelAspectRatio).

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is corrupt, or is no image.
    """
    header = read_header(path)
    # colour and projections are brightness; of other images the numbers are the modality's own
    brightness = header.is_colour or header.is_projection
    colour = header.is_colour
    return Pixels(
        read_frames(header, label)[page],
        spacing=header.spacing[::-1] if header.spacing else None,
        maximum=float(255 if colour and header.bits <= 8 else header.levels)
        if brightness and not label
        else None,
        colour=colour,
        aspect=header.aspect,
    )


def read_frames(header: Header, label: bool = False) -> NDArray[np.generic]:
    """Read all frames, ``(frames, rows, columns)``; colour has a fourth axis.

    Raises:
        ValueError: as :func:`read_plane`.
    """
    check_size(header.path, (header.frames, *header.size))
    if header.is_colour:
        return _colour_frames(header)
    if label:
        return label_numbers(stored_frames(header), header)
    if header.is_projection:
        return as_displayed(stored_frames(header), header)
    return _decoded(header)


def label_numbers(stored: NDArray[Any], header: Header) -> NDArray[np.generic]:
    """Return the numbers of a mask.

    Numbers of classes and instances mean what they are, in MONOCHROME1 too. A black and white mask,
    whose values are 0 and the largest of its number format, is a picture: white is the object, so
    MONOCHROME1 is inverted.

    Raises:
        ValueError: MONOCHROME1 whose values are all 0: white, or nothing labelled.
    """
    if header.photometric != "MONOCHROME1":
        return stored
    values = set(np.unique(stored).tolist())
    if values == {0}:
        raise ValueError(
            f"{header.path}: a mask of zeros in MONOCHROME1, which is all object or none; store "
            "it in MONOCHROME2"
        )
    inverted: NDArray[np.generic] = header.levels - stored
    return inverted if values <= {0, header.levels} else stored


def stored_frames(header: Header) -> NDArray[Any]:
    """Return the stored grey values of all frames, ``(frames, rows, columns)``.

    Raises:
        ValueError: the pixels are missing, truncated, or compressed in an unknown way.
    """
    pixels = stored_values(header.path, read_dataset(header.path))
    if not header.signed:
        pixels = pixels & pixels.dtype.type(header.levels)  # the bits above may hold an overlay
    return pixels.reshape(-1, *pixels.shape[-2:])


def stored_values(path: Path, data: Any) -> NDArray[Any]:
    """Decode the pixels of a grey data set as they are stored.

    Raises:
        ValueError: the pixels are missing, truncated, or compressed in an unknown way.
    """
    try:
        return native(data.pixel_array if _is_plain(data) else _decode_copy(data))
    except Exception:
        raise unreadable(path) from None


def read_dataset(path: Path) -> Any:
    """Read a whole DICOM file as a pydicom dataset.

    Raises:
        ValueError: the file is truncated, or not DICOM.
    """
    import pydicom

    try:
        return pydicom.dcmread(path, force=True)
    except Exception:
        raise unreadable(path) from None


def _is_plain(data: Any) -> bool:
    """Return whether pydicom decodes the pixels itself, without a codec that may be absent.

    All others are left to SimpleITK: decoders of lossy images differ in their last digit.
    """
    from pydicom.uid import RLELossless

    syntax = data.file_meta.TransferSyntaxUID
    return bool(not syntax.is_compressed or syntax == RLELossless)


def _colour_frames(header: Header) -> NDArray[np.generic]:
    """Return RGB, ``(frames, rows, columns, 3)``."""
    from pydicom.pixels import apply_color_lut

    try:
        data = read_dataset(header.path)
        if not _is_plain(data):
            return _decoded(header)
        pixels = data.pixel_array
        if header.photometric == "PALETTE COLOR":
            pixels = apply_color_lut(pixels, data)[..., :3]
            # palettes of 16 bits are those of 8, in the upper byte
            pixels = (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels
    except Exception:
        raise unreadable(header.path) from None
    return np.asarray(pixels.reshape(-1, *pixels.shape[-3:]))


def _decode_copy(data: Any) -> NDArray[Any]:
    """Decode with SimpleITK a copy without rescaling or inversion, which it would apply."""
    import SimpleITK as sitk
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, SecondaryCaptureImageStorage

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = data.file_meta.TransferSyntaxUID
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    copy = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    copy.SOPClassUID, copy.SOPInstanceUID = SecondaryCaptureImageStorage, UID("1.2.3")
    for name in PIXEL_TAGS:
        if name in data:
            copy[name] = data[name]
    copy.PhotometricInterpretation = "MONOCHROME2"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy.dcm"
        copy.save_as(path, enforce_file_format=True)
        return np.asarray(sitk.GetArrayFromImage(sitk.ReadImage(str(path))))


def _decoded(header: Header) -> NDArray[np.generic]:
    """Decode with SimpleITK, which rescales, inverts MONOCHROME1 and turns colours into RGB."""
    import SimpleITK as sitk

    try:
        image = sitk.ReadImage(str(header.path))
    except RuntimeError:
        raise unreadable(header.path) from None
    pixels: NDArray[np.generic] = sitk.GetArrayFromImage(image)
    colour = image.GetNumberOfComponentsPerPixel() > 1
    return pixels.reshape(-1, *pixels.shape[-3 if colour else -2 :])
