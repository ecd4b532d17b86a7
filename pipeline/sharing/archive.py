"""Read archives without unpacking them, and write archives that are the same bytes every time.

A zip file is a list of claims: names, sizes, kinds of file. :func:`open_archive` trusts none of
them. It refuses an archive that could write outside its folder, fill a disk, or show one content
to this reader and another to the next.
"""

import hashlib
import io
import re
import stat
import unicodedata
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO, NamedTuple

from pipeline.plain_text import plain_line
from pipeline.sharing.stored_file import StoredFile

ENTRY_DATE = (1980, 1, 1, 0, 0, 0)
"""The date of every file that we write: the earliest one that the zip format can hold."""
MEGABYTE = 1 << 20
SEND_AGAIN = "ask the sender to send it again"
"""The remedy for a file that was damaged on its way."""


class Limits(NamedTuple):
    """The largest archive that is accepted.

    Attributes:
        files: number of files.
        file_bytes: unpacked size of one file.
        total_bytes: unpacked size of all files.
        ratio: unpacked size divided by packed size, of one file; text seldom exceeds 20.
    """

    files: int = 2000
    file_bytes: int = 4096 * MEGABYTE
    total_bytes: int = 8192 * MEGABYTE
    ratio: int = 200


class RefusedError(ValueError):
    """Something in an archive is not accepted.

    The message is one line, whatever letters the sender chose; the attributes are as they stand.

    Attributes:
        place: the file, and the key where there is one.
        value: what stands at this place.
        reason: why the value is refused, and what is expected.
    """

    def __init__(self, place: str, value: str, reason: str) -> None:
        super().__init__(": ".join(map(plain_line, (place, value, reason))))
        self.place, self.value, self.reason = place, value, reason


class Archive:
    """The files of an archive that is safe to read.

    Attributes:
        path: the archive.
        name: the root folder's name, which is the bundle's name.
        files: the zip entry of each file, by its path below the root folder.
    """

    def __init__(self, path: Path, name: str, files: Mapping[str, zipfile.ZipInfo]) -> None:
        self.path, self.name, self.files = path, name, files
        self._hashes: dict[str, str] = {}

    def read(self, file: str) -> bytes:
        """Return a file's bytes.

        Raises:
            RefusedError: the bytes do not match the archive's own list (size, checksum).
        """
        info = self.files[file]
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(info) as stream:
                content = stream.read(info.file_size + 1)
        except (zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
            raise RefusedError(file, str(error), SEND_AGAIN) from None
        if len(content) != info.file_size:
            raise RefusedError(file, f"{len(content)} bytes or more", f"expected {info.file_size}")
        return content

    def stream(self, file: str) -> BinaryIO:
        """Return a file as a stream, which reads only the bytes that the caller asks for.

        The bytes are not checked: :meth:`sha256` is the check of the whole file.

        Raises:
            RefusedError: the file does not lie where the archive's list places it.
        """
        info = self.files[file]
        if info.compress_type != zipfile.ZIP_STORED:
            return io.BytesIO(self.read(file))
        try:
            return io.BufferedReader(StoredFile(self.path, info))
        except ValueError as error:
            raise RefusedError(file, str(error), SEND_AGAIN) from None

    def sha256(self, file: str) -> str:
        """Return a file's hash. The file is read in pieces, and only once."""
        if file in self._hashes:
            return self._hashes[file]
        digest = hashlib.sha256()
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.files[file]) as stream:
                while piece := stream.read(MEGABYTE):
                    digest.update(piece)
        except (zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
            raise RefusedError(file, str(error), SEND_AGAIN) from None
        self._hashes[file] = digest.hexdigest()
        return self._hashes[file]


def open_archive(path: Path, limits: Limits | None = None) -> Archive:
    """Check an archive's list of files, and unpack none of them.

    Args:
        path: the archive.
        limits: the largest archive that is accepted; None: the default.

    Raises:
        FileNotFoundError: no such file.
        RefusedError: the file is not a zip file, or not an acceptable one.
    """
    limits = limits or Limits()
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected a packed bundle")
    try:
        with zipfile.ZipFile(path) as archive:
            infos, comment = archive.infolist(), archive.comment
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise RefusedError(path.name, str(error), "expected a zip file") from None
    if comment:
        raise RefusedError(path.name, f"a comment of {len(comment)} bytes", "expected none")
    _check_size(path, infos, limits)
    _check_layout(path, infos)
    roots = {_root_of(info) for info in infos}
    if len(roots) != 1:
        names = ", ".join(sorted(roots)) or "nothing"
        raise RefusedError(path.name, names, "expected one folder, the bundle's, with all files")
    (root,) = roots
    _check_distinct([info.filename for info in infos])
    return Archive(path, root, {info.filename[len(root) + 1 :]: info for info in infos})


def write_archive(path: Path, name: str, files: Mapping[str, bytes]) -> None:
    """Write files below one folder: sorted, all with the same date, not compressed.

    The same files give the same bytes. Compression does not make weights smaller, and without it
    a bundle of 31 million parameters takes one second, not ten.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(files):
            info = zipfile.ZipInfo(f"{name}/{file}", ENTRY_DATE)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.create_system = 3  # Unix, on every system
            archive.writestr(info, files[file])


def _check_size(path: Path, infos: list[zipfile.ZipInfo], limits: Limits) -> None:
    if len(infos) > limits.files:
        raise RefusedError(path.name, f"{len(infos)} files", f"expected {limits.files} at most")
    for info in infos:
        if info.file_size > limits.file_bytes:
            size = f"{info.file_size} bytes unpacked"
            raise RefusedError(info.filename, size, f"expected {limits.file_bytes} at most")
        if info.file_size > limits.ratio * max(info.compress_size, 1):
            size = f"{info.file_size} bytes in {info.compress_size}"
            raise RefusedError(info.filename, size, f"expected {limits.ratio} times at most")
    total = sum(info.file_size for info in infos)
    if total > limits.total_bytes:
        size = f"{total} bytes unpacked"
        raise RefusedError(path.name, size, f"expected {limits.total_bytes} at most")


def _check_layout(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    """Refuse files that overlap, and bytes before the first file, which other readers may run."""
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise RefusedError(
                info.filename, "overlaps another file", "expected one after the other"
            )
        end = info.header_offset + info.compress_size
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            raise RefusedError(
                path.name, "bytes before the first file", "expected a plain zip file"
            )


def _root_of(info: zipfile.ZipInfo) -> str:
    _check_name(info)
    _check_kind(info)
    root, _, rest = info.filename.partition("/")
    if not rest:
        raise RefusedError(info.filename, "outside the bundle's folder", "expected NAME/…")
    return root


def _check_name(info: zipfile.ZipInfo) -> None:
    name = info.filename
    parts = name.rstrip("/").split("/")
    if "\\" in name or "\x00" in info.orig_filename or re.match(r"[A-Za-z]:", name):
        raise RefusedError(name, "a path of another system", "expected names separated by /")
    if name.startswith("/") or ".." in parts:
        raise RefusedError(
            name, "a path out of the bundle's folder", "expected a path inside the folder"
        )
    if not name.isprintable() or unicodedata.normalize("NFC", name) != name:
        raise RefusedError(repr(name), "invisible or ambiguous letters", "expected plain letters")
    if any(part.startswith(".") or not part for part in parts):
        raise RefusedError(name, "a hidden file", "expected none")
    if any(part.endswith((".", " ")) or PureWindowsPath(part).is_reserved() for part in parts):
        raise RefusedError(name, "a name that some systems change", "expected plain names")


def _check_kind(info: zipfile.ZipInfo) -> None:
    name = info.filename
    if info.is_dir():
        raise RefusedError(name, "an entry for a folder", "expected files only")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        kind_name = "a link" if kind == stat.S_IFLNK else "a special file"
        raise RefusedError(name, kind_name, "expected plain files")
    if info.flag_bits & 0x1:
        raise RefusedError(name, "encrypted", "expected a file that can be read")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        method = f"compressed by method {info.compress_type}"
        raise RefusedError(name, method, "expected stored or deflated")


def _check_distinct(names: Sequence[str]) -> None:
    """Refuse two names that some systems take for the same file."""
    seen: dict[str, str] = {}
    for name in names:
        folded = unicodedata.normalize("NFKC", name).casefold()
        if folded in seen:
            raise RefusedError(
                name, f"the same name as {seen[folded]} on some systems", "expected each name once"
            )
        seen[folded] = name
    for name in names:
        for parent in PurePosixPath(name).parents:
            if str(parent) in names:
                raise RefusedError(name, f"{parent} is a file", "expected it to be a folder")
