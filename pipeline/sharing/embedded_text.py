"""The text that image files carry beside their pixels: names, dates, comments, identifiers.

Only headers are read, except of PNG and JPEG files, whose text may lie behind the pixels.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import tifffile
from PIL import ExifTags, Image

from pipeline.data.decoding import one_line_errors
from pipeline.data.dicom_header import is_dicom
from pipeline.data.readers import split_page
from pipeline.data.series import headers_of, is_series
from pipeline.data.suffixes import ITK, NIFTI, PNG_LIKE, TIFF, suffix_of
from pipeline.sharing.dicom_text import HeaderText, dataset_texts, dicom_texts

MAX_HEADER_BYTES = 1 << 20
"""Bytes of a text header that are read."""
NIFTI_FIELDS = ("descrip", "aux_file", "db_name", "intent_name", "data_type")
WINDOWS_FIELDS = range(0x9C9B, 0x9CA0)
"""EXIF tags whose text Windows writes as UTF-16."""
EXIF_FOLDERS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo, ExifTags.IFD.Interop)
NAMING = ("author", "artist", "owner", "patient", "creator", "operator", "serial", "uniqueid")
"""Words in the name of a field that names a person or a device."""
TECHNICAL = {"Software", "ProcessingSoftware", "Make", "Model", "LensModel", "LensMake"}
"""Fields of the program and the device, not of the patient."""
NOT_TEXT = {"exif", "icc_profile", "photoshop"}
"""Entries of Pillow's ``info`` that are read by their own readers, or hold no text."""


def embedded_texts(name: str) -> list[HeaderText]:
    """Return the texts of an image.

    Args:
        name: path of the file, of a page of it, or of a DICOM series.

    Raises:
        ValueError: the file cannot be read; names it.
    """
    path, _ = split_page(name)
    with one_line_errors(path):
        if is_series(path):
            return [text for header in headers_of(path) for text in dicom_texts(header.path)]
        return [text for text in _texts(path) if text.text]


def as_text(value: Any) -> Iterator[str]:
    """Yield the texts of a value of a header, whatever holds them."""
    if isinstance(value, bytes):
        yield value.decode("utf-8", "replace").strip("\0 ")
    elif isinstance(value, str):
        yield value.strip("\0 ")
    elif isinstance(value, dict):
        for item in value.values():
            yield from as_text(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from as_text(item)


def _texts(path: Path) -> Iterator[HeaderText]:
    suffix = suffix_of(path)
    if is_dicom(path):
        yield from dicom_texts(path)
    elif suffix in NIFTI:
        yield from _nifti_texts(path)
    elif suffix in TIFF:
        yield from _tiff_texts(path)
    elif suffix in PNG_LIKE:
        yield from _picture_texts(path)
    elif suffix in ITK:
        yield from _itk_texts(path)


def _nifti_texts(path: Path) -> Iterator[HeaderText]:
    header = nib.load(path).header
    for field in NIFTI_FIELDS:
        if field in header:
            for text in as_text(header[field].tobytes()):
                yield HeaderText(f"NIfTI {field}", text, naming=field == "db_name")
    for extension in header.extensions:
        content = extension.get_content()
        if hasattr(content, "iterall"):
            yield from dataset_texts(content)
        else:
            for text in as_text(content):
                yield HeaderText("NIfTI extension", text)


def _tiff_texts(path: Path) -> Iterator[HeaderText]:
    with tifffile.TiffFile(path) as file:
        for page in file.pages:
            for tag in page.tags.values():
                for text in as_text(tag.value):
                    yield _of_field("TIFF", tag.name, text)


def _picture_texts(path: Path) -> Iterator[HeaderText]:
    with Image.open(path) as image:
        entries = {**image.info, **getattr(image, "text", {})}  # PNG: behind the pixels, too
        exif = image.getexif()
    for name, value in entries.items():
        if name not in NOT_TEXT:
            for text in as_text(value):
                yield _of_field(str(image.format), name, text)
    folders = [exif, *(exif.get_ifd(folder) for folder in EXIF_FOLDERS)]
    for tag, value in ((tag, value) for folder in folders for tag, value in folder.items()):
        name = ExifTags.TAGS.get(tag, ExifTags.GPSTAGS.get(tag, str(tag)))
        if tag in WINDOWS_FIELDS and isinstance(value, bytes):
            value = value.decode("utf-16-le", "replace")
        for text in as_text(value):
            yield _of_field("EXIF", name, text)


def _itk_texts(path: Path) -> Iterator[HeaderText]:
    """Yield the values of the header, ``key = value`` in each line, of MHA, MHD and NRRD."""
    with path.open("rb") as file:
        header = file.read(MAX_HEADER_BYTES)
    is_nrrd = suffix_of(path) == ".nrrd"
    for line in header.splitlines():
        if not line:  # the pixels of NRRD follow
            return
        name, _, value = line.decode("utf-8", "replace").partition(":" if is_nrrd else "=")
        comment = name.startswith("#")
        yield _of_field("header", name.strip("# "), (name if comment else value).strip("#= "))
        if not is_nrrd and name.strip() == "ElementDataFile":
            return


def _of_field(medium: str, name: str, text: str) -> HeaderText:
    if name in TECHNICAL:
        return HeaderText(f"{medium} {name}", "")
    naming = any(word in name.casefold() for word in NAMING)
    return HeaderText(f"{medium} {name}", text, naming)
