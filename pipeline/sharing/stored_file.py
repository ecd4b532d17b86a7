"""Random access to a file in an archive."""

import io
from pathlib import Path
from typing import Any


class StoredFile(io.RawIOBase):
    """The bytes of one file, which an archive stores as they are.

    Args:
        path: the archive.
        start: position of the file's first byte.
        size: number of its bytes.
    """

    def __init__(self, path: Path, start: int, size: int) -> None:
        super().__init__()
        self._archive = path.open("rb")
        self._start, self._size, self._position = start, size, 0

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
