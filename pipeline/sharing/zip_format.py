"""The one form of zip file that a packed bundle has: its headers, byte for byte.

Every field of a header is fixed, or follows from a file's name, size, checksum and position. The
writer writes these bytes, and the reader compares an archive with them: whatever another program
might read differently, as a comment, an extra field, a mode or a second header, is not there.
"""

import stat
import struct
from collections.abc import Sequence
from typing import NamedTuple

LOCAL_SIGNATURE, CENTRAL_SIGNATURE, END_SIGNATURE = b"PK\3\4", b"PK\1\2", b"PK\5\6"
END64_SIGNATURE, LOCATOR64_SIGNATURE = b"PK\6\6", b"PK\6\7"
LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
END64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR64 = struct.Struct("<4sLQL")
_SHARED_FIELDS = (
    "version", "flags", "compression method", "time", "date", "CRC-32", "packed size", "size",
    "length of the name", "length of the extra field",
)  # fmt: skip
LOCAL_FIELDS = ("signature", *_SHARED_FIELDS)
CENTRAL_FIELDS = (
    "signature", "system", *_SHARED_FIELDS, "length of the comment", "disk", "internal attributes",
    "attributes", "position",
)  # fmt: skip
VERSION, VERSION64 = 20, 45
UNIX = 3 << 8
UTF8_NAME = 0x800
DATE = 1 << 5 | 1
"""1 January 1980, the earliest date that the format can hold."""
ATTRIBUTES = (stat.S_IFREG | 0o644) << 16
LIMIT16, LIMIT32 = 0xFFFF, 0xFFFFFFFF
"""Numbers as large as these stand in a field of 64 bits (zip64)."""
MAX_NAME_BYTES = 255
MAX_HEADER_BYTES = LOCAL.size + MAX_NAME_BYTES + 20
"""Largest local header: with a name, and both sizes in 64 bits."""


class Entry(NamedTuple):
    """A file in an archive.

    Attributes:
        name: path, with the root folder.
        size: bytes.
        crc32: checksum.
        position: of its header.
    """

    name: str
    size: int
    crc32: int
    position: int

    @property
    def start(self) -> int:
        """Position of the file's first byte."""
        return self.position + len(local_header(self))

    @property
    def end(self) -> int:
        """Position after the file's last byte."""
        return self.start + self.size


def local_header(entry: Entry) -> bytes:
    """Return the header that stands before a file.

    Example:
        >>> len(local_header(Entry("cells/LICENSE", 5, 0, 0)))
        43
    """
    sizes = [entry.size] * 2 if entry.size >= LIMIT32 else []
    return LOCAL.pack(LOCAL_SIGNATURE, *_shared(entry, sizes)) + _variable(entry, sizes)


def central_header(entry: Entry) -> bytes:
    """Return a file's header in the directory at the end."""
    large = [entry.size] * 2 if entry.size >= LIMIT32 else []
    large += [entry.position] if entry.position >= LIMIT32 else []
    shared = _shared(entry, large)
    position = min(entry.position, LIMIT32)
    fixed = CENTRAL.pack(
        CENTRAL_SIGNATURE, UNIX | shared[0], *shared, 0, 0, 0, ATTRIBUTES, position
    )
    return fixed + _variable(entry, large)


def directory(entries: Sequence[Entry], position: int) -> bytes:
    """Return all that stands after the last file: the directory and the end record.

    Args:
        entries: all files.
        position: of the directory.
    """
    headers = b"".join(map(central_header, entries))
    return headers + _end(len(entries), len(headers), position)


def parse_entry(header: bytes, position: int) -> Entry:
    """Read an entry from its local header; the caller compares it with :func:`local_header`.

    Args:
        header: the header, and any bytes after it.
        position: of the header.

    Raises:
        ValueError: not a header, a name that is no UTF-8, or a too long one.
    """
    try:
        *_, crc32, _, size, length, _ = LOCAL.unpack_from(header)
        if length > MAX_NAME_BYTES:
            raise ValueError(f"a name of {length} bytes, {MAX_NAME_BYTES} are the longest")
        name = header[LOCAL.size : LOCAL.size + length].decode("utf-8")
        if size == LIMIT32:
            (size,) = struct.unpack_from("<Q", header, LOCAL.size + length + 4)
    except struct.error:
        raise ValueError("a header that is cut short") from None
    return Entry(name, size, crc32, position)


def local_difference(content: bytes, entry: Entry) -> str:
    """Return what of a local header differs; empty: nothing."""
    return _difference(content, local_header(entry), LOCAL, LOCAL_FIELDS)


def central_difference(content: bytes, entry: Entry) -> str:
    """Return what of a header in the directory differs; empty: nothing."""
    return _difference(content, central_header(entry), CENTRAL, CENTRAL_FIELDS)


def _shared(entry: Entry, large: Sequence[int]) -> tuple[int, ...]:
    name, size = entry.name.encode(), min(entry.size, LIMIT32)
    version = VERSION64 if large else VERSION
    flags = 0 if entry.name.isascii() else UTF8_NAME
    return version, flags, 0, 0, DATE, entry.crc32, size, size, len(name), len(_extra(large))


def _variable(entry: Entry, large: Sequence[int]) -> bytes:
    return entry.name.encode() + _extra(large)


def _extra(large: Sequence[int]) -> bytes:
    """Return the extra field of zip64; of no large number: none."""
    return struct.pack(f"<2H{len(large)}Q", 1, 8 * len(large), *large) if large else b""


def _end(count: int, size: int, position: int) -> bytes:
    large = b""
    if count >= LIMIT16 or max(size, position) >= LIMIT32:
        versions = UNIX | VERSION64, VERSION64
        counts = count, count, size, position
        large = END64.pack(END64_SIGNATURE, END64.size - 12, *versions, 0, 0, *counts)
        large += LOCATOR64.pack(LOCATOR64_SIGNATURE, 0, position + size, 1)
    fields = min(count, LIMIT16), min(count, LIMIT16), min(size, LIMIT32), min(position, LIMIT32)
    return large + END.pack(END_SIGNATURE, 0, 0, *fields, 0)


def _difference(
    content: bytes, expected: bytes, layout: struct.Struct, fields: Sequence[str]
) -> str:
    if content.startswith(expected):
        return ""
    if len(content) < len(expected):
        return "cut short"
    pairs = zip(fields, layout.unpack_from(content), layout.unpack_from(expected), strict=True)
    numbers = (f"{field} {value}, not {fixed}" for field, value, fixed in pairs if value != fixed)
    return next(numbers, "name or extra field")
