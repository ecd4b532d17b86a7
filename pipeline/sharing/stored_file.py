"""Random access to a file that an archive stores without compression."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

LOCAL_HEADER_BYTES = 30
"""Length of a zip entry's header before its name; the last four bytes hold the lengths of the
name and of the extra field."""


class StoredFile(io.RawIOBase):
    """The bytes of one stored file.

    A file of weights is judged by its header. The stream of ``zipfile`` would read, and sum, all
    bytes before the wanted position; this one goes there directly.

    Args:
        path: the archive.
        info: the file's zip entry; the file must be stored, not deflated.

    Raises:
        ValueError: the file would lie outside the archive.
    """

    def __init__(self, path: Path, info: zipfile.ZipInfo) -> None:
        super().__init__()
        self._archive = path.open("rb")
        self._archive.seek(info.header_offset + LOCAL_HEADER_BYTES - 4)
        lengths = self._archive.read(4).ljust(4, b"\0")
        self._start = info.header_offset + LOCAL_HEADER_BYTES + sum(struct.unpack("<HH", lengths))
        self._size, self._position = info.file_size, 0
        if self._start + self._size > path.stat().st_size:
            self._archive.close()
            raise ValueError("lies outside the archive")

    def readable(self) -> bool:
        """Return True: the stream can be read."""
        return True

    def seekable(self) -> bool:
        """Return True: the stream can be read from any position."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position, and return it."""
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if begin + offset < 0:
            raise ValueError(f"seek to {begin + offset}: before the file")
        self._position = begin + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with the bytes that are left; return their number."""
        view = memoryview(buffer)[: max(self._size - self._position, 0)]
        self._archive.seek(self._start + self._position)
        count = self._archive.readinto(view)
        self._position += count
        return count

    def close(self) -> None:
        """Close the archive."""
        self._archive.close()
        super().close()
