"""Archives that are read without being unpacked, and written to the same bytes every time.

A zip file is a list of claims: names, sizes, kinds of file. :func:`open_archive` believes none of
them and refuses whatever could write outside a folder, fill a disk, or say one thing to this reader
and another to the next.
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

from pipeline.sharing.stored import Stored

MADE = (1980, 1, 1, 0, 0, 0)
"""The date of every file in what we write: the earliest that a zip file can tell."""
MEGABYTE = 1 << 20


class Limits(NamedTuple):
    """What an archive may be at most.

    Attributes:
        files: how many.
        file_bytes: of one file, unpacked.
        bytes: of all files, unpacked.
        ratio: unpacked by packed size of one file; text seldom exceeds 20.
    """

    files: int = 2000
    file_bytes: int = 4096 * MEGABYTE
    bytes: int = 8192 * MEGABYTE
    ratio: int = 200


class RefusedError(ValueError):
    """Something in an archive is not accepted.

    Attributes:
        place: file, and key where there is one.
        found: what is there.
        why: it is refused, and what is expected.
    """

    def __init__(self, place: str, found: str, why: str) -> None:
        super().__init__(f"{place}: {found}: {why}")
        self.place, self.found, self.why = place, found, why


class Archive:
    """The files of an archive that was found safe to read, by their path below the root folder.

    Attributes:
        path: of the archive.
        name: of the root folder, which is the bundle's.
        files: what is in it.
    """

    def __init__(self, path: Path, name: str, files: Mapping[str, zipfile.ZipInfo]) -> None:
        self.path, self.name, self.files = path, name, files
        self._hashes: dict[str, str] = {}

    def read(self, file: str) -> bytes:
        """Return a file's bytes.

        Raises:
            RefusedError: they are not what the archive says of them.
        """
        info = self.files[file]
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(info) as stream:
                content = stream.read(info.file_size + 1)
        except (zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
            raise RefusedError(file, str(error), "cannot be read; ask for it again") from None
        if len(content) != info.file_size:
            raise RefusedError(file, f"{len(content)} bytes or more", f"expected {info.file_size}")
        return content

    def stream(self, file: str) -> BinaryIO:
        """Return a file's bytes as a stream, of which only what is asked for is read.

        Nothing is checked of what is read: :meth:`sha256` is of all of it.

        Raises:
            RefusedError: it is not where the archive says.
        """
        info = self.files[file]
        if info.compress_type != zipfile.ZIP_STORED:
            return io.BytesIO(self.read(file))
        try:
            return io.BufferedReader(Stored(self.path, info))
        except ValueError as error:
            raise RefusedError(file, str(error), "cannot be read; ask for it again") from None

    def sha256(self, file: str) -> str:
        """Return a file's hash, read piece by piece, once."""
        if file in self._hashes:
            return self._hashes[file]
        digest = hashlib.sha256()
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.files[file]) as stream:
                while piece := stream.read(MEGABYTE):
                    digest.update(piece)
        except (zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
            raise RefusedError(file, str(error), "cannot be read; ask for it again") from None
        self._hashes[file] = digest.hexdigest()
        return self._hashes[file]


def open_archive(path: Path, limits: Limits | None = None) -> Archive:
    """Look through an archive's list of files, unpacking none.

    Args:
        path: of the archive.
        limits: what it may be at most.

    Raises:
        FileNotFoundError: it is not there.
        RefusedError: no zip file, or one that is not accepted.
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
        told = ", ".join(sorted(roots)) or "nothing"
        raise RefusedError(
            path.name, told, "expected one folder, the bundle's, that holds all files"
        )
    (root,) = roots
    _check_distinct([info.filename for info in infos])
    return Archive(path, root, {info.filename[len(root) + 1 :]: info for info in infos})


def write_archive(path: Path, name: str, files: Mapping[str, bytes]) -> None:
    """Write files below one folder, sorted, dated alike, stored as they are.

    The same files give the same bytes. Weights do not get smaller by deflation, and storing a
    bundle of 31 million parameters takes a second in place of ten.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(files):
            info = zipfile.ZipInfo(f"{name}/{file}", MADE)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.create_system = 3  # Unix, wherever it is made
            archive.writestr(info, files[file])


def _check_size(path: Path, infos: list[zipfile.ZipInfo], limits: Limits) -> None:
    if len(infos) > limits.files:
        raise RefusedError(path.name, f"{len(infos)} files", f"expected {limits.files} at most")
    for info in infos:
        if info.file_size > limits.file_bytes:
            found = f"{info.file_size} bytes unpacked"
            raise RefusedError(info.filename, found, f"expected {limits.file_bytes} at most")
        if info.file_size > limits.ratio * max(info.compress_size, 1):
            found = f"{info.file_size} bytes in {info.compress_size}"
            raise RefusedError(info.filename, found, f"expected {limits.ratio} times at most")
    total = sum(info.file_size for info in infos)
    if total > limits.bytes:
        raise RefusedError(path.name, f"{total} bytes unpacked", f"expected {limits.bytes} at most")


def _check_layout(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    """Refuse files that lie over each other, and bytes before the first that other readers run."""
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise RefusedError(info.filename, "lies over another file", "expected files in a row")
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
        raise RefusedError(name, "a path of another system", "expected names parted by /")
    if name.startswith("/") or ".." in parts:
        raise RefusedError(name, "leads out of the folder", "expected a path below the bundle's")
    if not name.isprintable() or unicodedata.normalize("NFC", name) != name:
        raise RefusedError(repr(name), "not what it looks like", "expected plain letters")
    if any(part.startswith(".") or not part for part in parts):
        raise RefusedError(name, "a hidden file", "expected none")
    if any(part.endswith((".", " ")) or PureWindowsPath(part).is_reserved() for part in parts):
        raise RefusedError(name, "a name that some systems change", "expected plain names")


def _check_kind(info: zipfile.ZipInfo) -> None:
    name = info.filename
    if info.is_dir():
        raise RefusedError(name, "a folder of its own", "expected files alone")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        what = "a link" if kind == stat.S_IFLNK else "a special file"
        raise RefusedError(name, what, "expected plain files")
    if info.flag_bits & 0x1:
        raise RefusedError(name, "encrypted", "expected a file that can be read")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        how = f"packed by method {info.compress_type}"
        raise RefusedError(name, how, "expected stored or deflated")


def _check_distinct(names: Sequence[str]) -> None:
    """Refuse names that are one file on some systems."""
    seen: dict[str, str] = {}
    for name in names:
        folded = unicodedata.normalize("NFKC", name).casefold()
        if folded in seen:
            raise RefusedError(name, f"one name with {seen[folded]}", "expected each name once")
        seen[folded] = name
    for name in names:
        for parent in PurePosixPath(name).parents:
            if str(parent) in names:
                raise RefusedError(name, f"{parent} is a file", "expected it to be a folder")
