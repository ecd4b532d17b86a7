"""Refusing a TIFF of which a part is missing or cannot be read.

tifffile reads on after damage: it takes a default for a tag, leaves out pages, or fills missing
pixels with zeros, and says so in its log alone. Here that ends the reading.
"""

import logging
import math
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tifffile

from pipeline.data.decoding import check_size

FIRST_PRIVATE_TAG = 32768
"""Tags from here on are a maker's own; the pixels do not depend on them."""
TAG = re.compile(r"TiffTag (\d+) @")


class _Records(threading.local):
    """Messages of the reading that this thread does; None: it reads nothing."""

    messages: list[str] | None = None


_records = _Records()


def _keep(record: logging.LogRecord) -> bool:
    """Keep a message for :func:`whole_tiff`, instead of printing it."""
    if _records.messages is None:
        return True
    if record.levelno >= logging.WARNING:
        _records.messages.append(record.getMessage())
    return False


logging.getLogger("tifffile").addFilter(_keep)


@contextmanager
def whole_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF; what tifffile logs until it is closed becomes an error.

    Raises:
        ValueError: a part of the file is missing or cannot be read.
    """
    _records.messages = []
    try:
        with tifffile.TiffFile(path) as file:
            yield file
        problem = next(filter(_matters, _records.messages), None)
    finally:
        _records.messages = None
    if problem is not None:
        raise ValueError(
            f"{path}: cannot be read as an image, corrupt or truncated ({_shortened(problem)}); "
            "restore it, or save it again"
        )


def check_pages(path: Path, level: tifffile.TiffPageSeries) -> None:
    """Refuse an image whose pixels are not all in the file, before memory is taken for them.

    Raises:
        ValueError: no pixel, more than the file can hold, or a part that is missing.
    """
    check_size(path, level.shape, level.dtype.itemsize if level.dtype else 1)
    stored = [None] if level.dataoffset is not None else level.pages
    if any(_lacks_pixels(level, page) for page in stored):
        raise ValueError(f"{path}: lacks a part of its pixels; truncated or corrupt; restore it")


def _lacks_pixels(
    level: tifffile.TiffPageSeries, page: tifffile.TiffPage | tifffile.TiffFrame | None
) -> bool:
    key = level.keyframe
    if page is None:  # pages without headers of their own follow each other
        first, stored = (
            level.dataoffset,
            level.nbytes * key.bitspersample // 8 // key.dtype.itemsize,
        )
        return first is None or first + stored > key.parent.filehandle.size
    pieces = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    if max(map(sum, pieces), default=0) > page.parent.filehandle.size:
        return True
    if key.compression == tifffile.COMPRESSION.NONE and not key.is_tiled:
        return sum(page.databytecounts) < key.size * key.bitspersample // 8
    return len(pieces) < math.prod(key.chunked)


def _matters(message: str) -> bool:
    tag = TAG.search(message)
    return tag is None or int(tag[1]) < FIRST_PRIVATE_TAG


def _shortened(message: str, characters: int = 100) -> str:
    line = " ".join(re.sub(r"^<tifffile\.\w+ [^>]*> ?", "", message).split())
    return line if len(line) <= characters else f"{line[:characters]}…"
