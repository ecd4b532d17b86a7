"""Names of studies from which nobody is known, for what is recorded of inferences."""

import hashlib
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

from pipeline.data.dicom_header import is_dicom, read_header
from pipeline.data.series import headers_of, is_series

SALT_SUFFIX = ".salt"
SALT_DIGITS = 32
SALT_SECONDS = 2.0
"""How long another process may take to write it."""
PSEUDONYM_DIGITS = 10
OWNER_ONLY = 0o600


def salt_beside(record: Path) -> str:
    """Return the salt of a log or a table, which lies beside it; the first process makes it.

    Raises:
        ValueError: whoever made it did not finish.
    """
    path = record.with_name(record.name + SALT_SUFFIX)
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):  # another process was first
        _create(path, secrets.token_hex(SALT_DIGITS // 2))
    end = time.monotonic() + SALT_SECONDS
    while len(salt := path.read_text("utf-8").strip()) < SALT_DIGITS:
        if time.monotonic() > end:
            raise ValueError(
                f"{path}: found {len(salt)} characters, expected {SALT_DIGITS}; whoever made "
                "it was interrupted; remove it"
            )
        time.sleep(SALT_SECONDS / 100)  # it is being written
    return salt


def _create(path: Path, text: str) -> None:
    """Write a file that is not there yet.

    Raises:
        FileExistsError: it is there.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def study_pseudonym(image: Path, salt: str) -> str:
    """Return a name for the study of an image, from which the study cannot be known.

    Args:
        image: file, or reference of a DICOM series.
        salt: that is kept with the log.

    Example:
        >>> study_pseudonym(Path("scan.nii.gz"), "salt")
        's29fae21041'
    """
    digest = hashlib.sha256(f"{salt}\0{_study(image)}".encode()).hexdigest()
    return f"s{digest[:PSEUDONYM_DIGITS]}"


def _study(image: Path) -> str:
    """Return the StudyInstanceUID; the name of a file without one, or that cannot be read."""
    try:
        if is_series(image):
            return headers_of(image)[0].study or image.name
        return (image.is_file() and is_dicom(image) and read_header(image).study) or image.name
    except (ValueError, OSError):
        return image.name
