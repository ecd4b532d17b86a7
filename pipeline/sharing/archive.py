"""Read archives without unpacking them, and write archives that are the same bytes every time.

A zip file is a list of claims: names, sizes, kinds of file. :func:`open_archive` trusts none of
them. It accepts exactly the bytes that :func:`write_archive` writes, so that every program reads
the same files in it, and refuses names that could be written outside the bundle's folder.
"""

import hashlib
import io
import re
import unicodedata
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO, NamedTuple

from pipeline.plain_text import plain_line
from pipeline.sharing.stored_file import StoredFile
from pipeline.sharing.zip_format import (
    LOCAL_SIGNATURE,
    MAX_HEADER_BYTES,
    Entry,
    central_difference,
    central_header,
    directory,
    local_difference,
    local_header,
    parse_entry,
)

MEGABYTE = 1 << 20
MAX_READ_BYTES = 16 * MEGABYTE
"""Largest file that is read whole; larger ones are read in pieces."""
SEND_AGAIN = "ask the sender to send it again"
"""The remedy for a file that was damaged on its way."""
AS_PACKED = "expected the bytes that unet-school pack writes; ask the sender for that file"


class Limits(NamedTuple):
    """The largest archive that is accepted.

    Attributes:
        files: number of files.
        file_bytes: size of one file.
        total_bytes: size of all files.
    """

    files: int = 2000
    file_bytes: int = 4096 * MEGABYTE
    total_bytes: int = 8192 * MEGABYTE


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
        files: the entry of each file, by its path below the root folder.
    """

    def __init__(self, path: Path, name: str, files: Mapping[str, Entry]) -> None:
        self.path, self.name, self.files = path, name, files
        self._hashes: dict[str, str] = {}

    def read(self, file: str) -> bytes:
        """Return a file's bytes.

        Raises:
            RefusedError: the file is too large, or its bytes do not have its checksum.
        """
        size = self.files[file].size
        if size > MAX_READ_BYTES:
            raise RefusedError(file, f"{size} bytes", f"expected {MAX_READ_BYTES} at most")
        return b"".join(self.pieces(file))

    def stream(self, file: str) -> BinaryIO:
        """Return a file as a stream, which reads only the bytes that the caller asks for.

        The bytes are not checked: :meth:`pieces` checks them.
        """
        entry = self.files[file]
        return io.BufferedReader(StoredFile(self.path, entry.start, entry.size))

    def pieces(self, file: str) -> Iterator[bytes]:
        """Yield a file's bytes in pieces.

        Raises:
            RefusedError: after the last piece, if the bytes do not have the file's checksum.
        """
        checksum = 0
        with self.stream(file) as stream:
            while piece := stream.read(MEGABYTE):
                checksum = zlib.crc32(piece, checksum)
                yield piece
        if checksum != self.files[file].crc32:
            raise RefusedError(file, "its bytes do not have its checksum", SEND_AGAIN)

    def sha256(self, file: str) -> str:
        """Return a file's hash. The file is read in pieces, and only once."""
        if file not in self._hashes:
            digest = hashlib.sha256()
            for piece in self.pieces(file):
                digest.update(piece)
            self._hashes[file] = digest.hexdigest()
        return self._hashes[file]


def open_archive(path: Path, limits: Limits | None = None) -> Archive:
    """Check an archive's headers, and read none of its files.

    The headers are read one after the other, from the first byte on, so that no claim of the
    archive decides how much is read: at most the allowed number of files.

    Args:
        path: the archive.
        limits: the largest archive that is accepted; None: the default.

    Raises:
        FileNotFoundError: no such file.
        RefusedError: the file is not byte for byte what :func:`write_archive` writes, or a name in
            it is not safe on every system.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected a packed bundle")
    entries = _read_entries(path, limits or Limits())
    names = [entry.name for entry in entries]
    roots = sorted({_root_of(name) for name in names})
    if len(roots) != 1:
        reason = "expected one folder, the bundle's, with all files"
        raise RefusedError(path.name, ", ".join(roots), reason)
    _check_distinct(names)
    for name, next_name in pairwise(names):
        if next_name < name:
            raise RefusedError(next_name, f"after {name}", "expected the files sorted by name")
    return Archive(path, roots[0], {entry.name[len(roots[0]) + 1 :]: entry for entry in entries})


def write_archive(path: Path, name: str, files: Mapping[str, bytes]) -> None:
    """Write files below one folder: sorted, all with the same date, not compressed.

    The same files give the same bytes. Compression does not make weights smaller, and without it
    a bundle of 31 million parameters takes one second, not ten.
    """
    entries, position = [], 0
    with path.open("wb") as out:
        for file, content in sorted(files.items()):
            entry = Entry(f"{name}/{file}", len(content), zlib.crc32(content), position)
            out.write(local_header(entry))
            out.write(content)
            entries.append(entry)
            position = entry.end
        out.write(directory(entries, position))


def _read_entries(path: Path, limits: Limits) -> list[Entry]:
    """Return the entries of an archive whose headers are exactly the expected ones."""
    entries: list[Entry] = []
    size, position, total = path.stat().st_size, 0, 0
    with path.open("rb") as file:
        while (header := _read(file, position, MAX_HEADER_BYTES)).startswith(LOCAL_SIGNATURE):
            if len(entries) == limits.files:
                reason = f"expected {limits.files} at most"
                raise RefusedError(path.name, f"more than {limits.files} files", reason)
            entry = _parse(path.name, header, position)
            _check_size(entry, limits)
            total, position = total + entry.size, entry.end
            if position > size:
                raise RefusedError(entry.name, "lies outside the archive", SEND_AGAIN)
            if total > limits.total_bytes:
                reason = f"expected {limits.total_bytes} at most"
                raise RefusedError(path.name, f"{total} bytes or more", reason)
            entries.append(entry)
        if not entries:
            reason = "expected a zip file that unet-school pack wrote"
            raise RefusedError(path.name, "does not begin with a file", reason)
        expected = directory(entries, position)
        content = _read(file, position, len(expected))
    _check_directory(path.name, entries, content, expected)
    if size > position + len(expected):
        rest = f"{size - position - len(expected)} bytes after the archive"
        raise RefusedError(path.name, rest, AS_PACKED)
    return entries


def _read(file: BinaryIO, position: int, size: int) -> bytes:
    file.seek(position)
    return file.read(size)


def _parse(place: str, header: bytes, position: int) -> Entry:
    try:
        entry = parse_entry(header, position)
    except ValueError as error:
        raise RefusedError(f"{place}, byte {position}", str(error), AS_PACKED) from None
    _check_name(entry.name)
    if difference := local_difference(header, entry):
        raise RefusedError(entry.name, f"its header has another {difference}", AS_PACKED)
    return entry


def _check_size(entry: Entry, limits: Limits) -> None:
    if entry.size > limits.file_bytes:
        reason = f"expected {limits.file_bytes} at most"
        raise RefusedError(entry.name, f"{entry.size} bytes", reason)


def _check_directory(place: str, entries: list[Entry], content: bytes, expected: bytes) -> None:
    """Refuse any byte after the last file that is not the expected one; name its file."""
    position = 0
    for entry in entries:
        end = position + len(central_header(entry))
        if difference := central_difference(content[position:end], entry):
            value = f"in the directory, it has another {difference}"
            raise RefusedError(entry.name, value, AS_PACKED)
        position = end
    if content != expected:
        raise RefusedError(place, "another end record", AS_PACKED)


def _root_of(name: str) -> str:
    root, _, rest = name.partition("/")
    if not rest:
        raise RefusedError(name, "outside the bundle's folder", "expected NAME/…")
    return root


def _check_name(name: str) -> None:
    parts = name.rstrip("/").split("/")
    if not name.isprintable() or unicodedata.normalize("NFC", name) != name:
        raise RefusedError(repr(name), "invisible or ambiguous letters", "expected plain letters")
    if "\\" in name or re.match(r"[A-Za-z]:", name):
        raise RefusedError(name, "a path of another system", "expected names separated by /")
    if name.startswith("/") or ".." in parts:
        raise RefusedError(
            name, "a path out of the bundle's folder", "expected a path inside the folder"
        )
    if name.endswith("/"):
        raise RefusedError(name, "an entry for a folder", "expected files only")
    if any(part.startswith(".") or not part for part in parts):
        raise RefusedError(name, "a hidden file", "expected none")
    if any(part.endswith((".", " ")) or PureWindowsPath(part).is_reserved() for part in parts):
        raise RefusedError(name, "a name that some systems change", "expected plain names")


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
    for folded, name in seen.items():
        for parent in PurePosixPath(folded).parents:
            if str(parent) in seen:
                raise RefusedError(name, f"{parent} is a file", "expected it to be a folder")
