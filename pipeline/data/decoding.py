"""Errors of decoders, in one line that names the file."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from pipeline.data.suffixes import SUFFIXES, suffix_of

MAX_COMPRESSION = 65536
"""Bytes of pixels that a byte of a file can hold; Zstandard reaches half of it."""


@contextmanager
def one_line_errors(path: Path, kind: str = "an image") -> Iterator[None]:
    """Turn any exception of a decoder into an error of one line that names the file.

    A message that names the file already is our own, and stays as it is.

    Example:
        >>> with one_line_errors(Path("a.png")):
        ...     raise RuntimeError("bad header")
        Traceback (most recent call last):
        ValueError: a.png: cannot be read as an image, corrupt or truncated (bad header); restore it
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, (ValueError, FileNotFoundError)) and str(error).startswith(str(path)):
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise ValueError(
            f"{path}: cannot be read as {kind}, corrupt or truncated ({reason}); restore it"
        ) from None


def check_size(
    path: Path, shape: Sequence[int], value_bytes: int = 1, ratio: int = MAX_COMPRESSION
) -> None:
    """Refuse a header that claims no pixel, or more than its file can hold, before it is decoded.

    Args:
        path: file.
        shape: number of values along each axis, as the header claims.
        value_bytes: bytes of a value.
        ratio: bytes of pixels that a byte of the file can hold; 1: not compressed.

    Raises:
        ValueError: the header is wrong, or the file truncated.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.nii"
        >>> _ = path.write_bytes(bytes(352))
        >>> check_size(path, (4, 4), 2)
        >>> check_size(path, (30000, 30000, 30000), 2)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: ...a.nii: claims 30000 x 30000 x 30000 values, more than its 352 bytes...
    """
    sides, size = [int(side) for side in shape], path.stat().st_size
    claim = " x ".join(map(str, sides))
    if not sides or min(sides) < 1:
        raise ValueError(f"{path}: a size of {claim}, which holds no pixel; restore it")
    if math.prod(sides) * value_bytes > ratio * size:
        raise ValueError(
            f"{path}: claims {claim} values, more than its {size} bytes can hold; truncated or "
            "corrupt; restore it"
        )


def native(array: NDArray[Any]) -> NDArray[Any]:
    """Return the same values in the byte order of this machine, which torch needs.

    Example:
        >>> import numpy as np
        >>> native(np.array([1, 2], ">i2")).dtype.isnative
        True
    """
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def unknown_format(path: Path) -> ValueError:
    """Return the error of a file whose suffix is of no format that is read."""
    return ValueError(
        f"{path}: unknown format '{suffix_of(path)}'; expected one of {' '.join(SUFFIXES)}, or a "
        "folder with a DICOM series"
    )
