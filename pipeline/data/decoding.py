"""Errors of decoders, in one line that names the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.data.suffixes import SUFFIXES, suffix_of


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


def unknown_format(path: Path) -> ValueError:
    """Return the error of a file whose suffix is of no format that is read."""
    return ValueError(
        f"{path}: unknown format '{suffix_of(path)}'; expected one of {' '.join(SUFFIXES)}, or a "
        "folder with a DICOM series"
    )
