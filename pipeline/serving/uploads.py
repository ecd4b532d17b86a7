"""Uploaded files: only formats of one file, within bounds also when they are unpacked."""

import gzip
import math
import mmap
import os
import re
import shutil
import tempfile
import threading
import uuid
import zlib
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

import nibabel as nib
import SimpleITK as sitk
from PIL import Image

from pipeline.data.suffixes import suffix_of
from pipeline.files import check_room
from pipeline.serving.refusals import RefusedError

IMAGE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".png", ".jpg", ".jpeg")
LABEL_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".png", ".bin")
"""Formats whose header names no other file; ``.bin`` is OHIF's: numbers and nothing else."""
MAX_EXPANSION = 8
"""Bytes of pixels for each byte that an upload may have."""
CHUNK_BYTES = 2**20
MAX_HEADER_BYTES = 2**16
VOXEL_BYTES = 8
"""At most, of a voxel that is read: fractions in 64 bits, whatever the file holds."""
FREE_BYTES = 10**9
"""Room that uploads leave on the disk, for labels and results."""
MAX_MEMORY_BYTES = 2**20
"""Starlette keeps a part of a form up to this size in memory, and a larger one on the disk."""
OTHER_FILE = re.compile(rb"data ?file", re.IGNORECASE)
"""Key by which an NRRD header names another file; its reader also ends a line at a return."""
DATA_FILE = re.compile(rb"ElementDataFile(?:\s*[=:]\s*(LOCAL)\s*[\r\n])?")
"""Key by which an MHA header says where the voxels are, and that they are in the file itself."""


def suffix_of_upload(name: str | None, suffixes: tuple[str, ...]) -> str:
    """Return the suffix of an uploaded file; nothing else of its name is used.

    Raises:
        ValueError: none that is accepted.

    Example:
        >>> suffix_of_upload("/tmp/x/scan.nii.gz", IMAGE_SUFFIXES)
        '.nii.gz'
        >>> suffix_of_upload("scan.mhd", IMAGE_SUFFIXES)
        Traceback (most recent call last):
        ValueError: upload: found a file '.mhd', expected one of .nii.gz .nii .nrrd .mha ...
    """
    suffix = suffix_of(Path(name or ""))
    if suffix not in suffixes or (name or "").lower().endswith(".seg.nrrd"):
        shown = ".seg.nrrd" if suffix == ".nrrd" else suffix
        raise ValueError(
            f"upload: found a file {shown[:20]!r}, expected one of {' '.join(suffixes)}; set the "
            "file extension in the settings of the viewer"
        )
    return suffix


class UploadStore:
    """Keeps uploaded files within bounds, and decodes one at a time.

    Args:
        folder: of what is decoded and removed again.
        most_bytes: of a file; its pixels may have :data:`MAX_EXPANSION` times as many.

    Attributes:
        decoding: is held while an upload is decoded: one at a time fits into memory.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder, self.most_bytes = folder, most_bytes
        self.decoding = threading.Lock()

    def check_room(self, stated: str | None) -> None:
        """Refuse an upload for which the disk has no room, before it is taken.

        Args:
            stated: its length as the call states it; None: it may be the largest that is taken.

        Raises:
            RefusedError: a disk has too little room.
        """
        size = int(stated) if stated is not None else self.most_bytes
        if size > MAX_MEMORY_BYTES:  # a smaller one waits in memory
            _check_room(Path(tempfile.gettempdir()), size, "TMPDIR")
            _check_room(self.folder, size + FREE_BYTES, "--data")

    def store(self, file: BinaryIO, suffix: str, folder: Path | None = None) -> Path:
        """Write an uploaded file under a new name, and check what it claims and holds.

        Args:
            file: its content.
            suffix: of the format.
            folder: where to write it; None: that of what is removed again.

        Raises:
            ValueError: it is of another format, claims or holds too much, or names another file;
                the disk has too little room.
            OSError: it cannot be written.
        """
        folder = folder or self.folder
        folder.mkdir(0o700, parents=True, exist_ok=True)
        _check_room(folder, file.seek(0, os.SEEK_END) + FREE_BYTES, "--data")
        file.seek(0)
        path = folder / f"{uuid.uuid4().hex}{suffix}"
        try:
            with path.open("xb") as target:
                shutil.copyfileobj(file, target, CHUNK_BYTES)
            with self.decoding:
                check_upload(path, suffix, self.most_bytes * MAX_EXPANSION)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path


def _check_room(folder: Path, needed: int, setting: str) -> None:
    try:
        check_room(folder, needed, "uploads, labels and results", setting)
    except ValueError as error:
        raise RefusedError(HTTPStatus.INSUFFICIENT_STORAGE, str(error)) from None


def check_upload(path: Path, suffix: str, most_pixel_bytes: int) -> None:
    """Refuse a file before it is decoded.

    Raises:
        ValueError: it is of another format, claims or holds too much, or names another file.
    """
    if suffix == ".bin":  # its size is compared with that of the image
        return
    try:
        if suffix in (".nii", ".nii.gz"):
            claimed = _check_nifti(path, suffix, most_pixel_bytes)
        elif suffix in (".nrrd", ".mha"):
            claimed = _check_itk(path, suffix)
        else:
            with Image.open(path, formats=["PNG", "JPEG"]) as image:
                claimed = math.prod(image.size) * len(image.getbands())
    except UploadError:
        raise
    except Exception as error:  # a decoder raises whatever the bytes lead to
        raise ValueError(
            f"upload: not readable as {suffix} ({type(error).__name__}); save it again"
        ) from None
    if claimed > most_pixel_bytes:
        raise ValueError(
            f"upload: claims {claimed} bytes of pixels, expected at most {most_pixel_bytes}; see "
            "--upload-mb of unet-school serve"
        )


class UploadError(ValueError):
    """An upload that is readable, and refused."""


def _check_nifti(path: Path, suffix: str, most_bytes: int) -> int:
    if suffix == ".nii.gz":
        _check_unpacked(path, most_bytes + MAX_HEADER_BYTES)
    header = nib.load(path).header
    voxel_bytes = max(VOXEL_BYTES, int(header.get_data_dtype().itemsize))
    return math.prod(map(int, header.get_data_shape())) * voxel_bytes


def _check_unpacked(path: Path, most_bytes: int) -> None:
    """Refuse what unpacks to more, without keeping it."""
    unpacked = 0
    try:
        with gzip.open(path) as file:
            while chunk := file.read(CHUNK_BYTES):
                unpacked += len(chunk)
                if unpacked > most_bytes:
                    raise UploadError(
                        f"upload: unpacks to more than {most_bytes} bytes; see --upload-mb of "
                        "unet-school serve"
                    )
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise UploadError("upload: a truncated or corrupt .nii.gz; save it again") from None


def _check_itk(path: Path, suffix: str) -> int:
    has_own_voxels = _has_own_voxels_nrrd if suffix == ".nrrd" else _has_own_voxels_mha
    if not has_own_voxels(path):
        raise UploadError(
            f"upload: its header names another file for the voxels; save it as one {suffix} file"
        )
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NrrdImageIO" if suffix == ".nrrd" else "MetaImageIO")
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return math.prod(reader.GetSize()) * reader.GetNumberOfComponents() * VOXEL_BYTES


def _has_own_voxels_nrrd(path: Path) -> bool:
    with path.open("rb") as file:
        header, end, _ = file.read(MAX_HEADER_BYTES).partition(b"\n\n")
    return bool(end) and not OTHER_FILE.search(header)


def _has_own_voxels_mha(path: Path) -> bool:
    """Return whether the key stands in the file once, as LOCAL.

    Were there a second one, in a comment say, the reader's choice would have to be guessed.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return DATA_FILE.findall(content) == [b"LOCAL"]
