"""A file that is stored in an archive as it is, read from anywhere without reading all of it."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

LOCAL_HEADER = 30
"""Bytes before the name; the last four tell the lengths of name and extra field."""


class Stored(io.RawIOBase):
    """The bytes of one stored file.

    A header tells what weights are; zipfile's own stream would read, and sum, all that lies before
    the place that is looked for.

    Args:
        path: of the archive.
        info: of the file, which must be stored, not deflated.

    Raises:
        ValueError: it would lie outside of the archive.
    """

    def __init__(self, path: Path, info: zipfile.ZipInfo) -> None:
        super().__init__()
        self._archive = path.open("rb")
        self._archive.seek(info.header_offset + LOCAL_HEADER - 4)
        lengths = self._archive.read(4).ljust(4, b"\0")
        self._start = info.header_offset + LOCAL_HEADER + sum(struct.unpack("<HH", lengths))
        self._size, self._at = info.file_size, 0
        if self._start + self._size > path.stat().st_size:
            self._archive.close()
            raise ValueError("lies outside of the archive")

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be read from anywhere."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; return it."""
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if begin + offset < 0:
            raise ValueError(f"seek to {begin + offset}: before the file")
        self._at = begin + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read as much as fits, and is left; return how much."""
        view = memoryview(buffer)[: max(self._size - self._at, 0)]
        self._archive.seek(self._start + self._at)
        count = self._archive.readinto(view)
        self._at += count
        return count

    def close(self) -> None:
        """Close the archive."""
        self._archive.close()
        super().close()
