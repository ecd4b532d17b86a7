"""One DICOM instance as it came: which study it is of, and its bytes."""

import re
from collections.abc import Callable
from io import BytesIO
from typing import NamedTuple

import pydicom

UID = re.compile(r"[0-9]+(?:\.[0-9]+)+")
MAX_UID_CHARACTERS = 64
TAGS = ("StudyInstanceUID", "SOPInstanceUID")


class Instance(NamedTuple):
    """An instance that came from a peer.

    Attributes:
        study: StudyInstanceUID.
        uid: SOPInstanceUID.
        content: bytes of a file of DICOM.
    """

    study: str
    uid: str
    content: bytes


StoreInstance = Callable[[Instance], None]
"""What is done with an instance that comes."""


def checked_uid(uid: object, meaning: str) -> str:
    """Return a UID that is one: files and folders are named by it.

    Args:
        uid: as it came.
        meaning: for the message.

    Raises:
        ValueError: it is none.

    Example:
        >>> checked_uid("1.2.840.10008.1.1", "study")
        '1.2.840.10008.1.1'
    """
    text = str(uid or "")
    if len(text) > MAX_UID_CHARACTERS or not UID.fullmatch(text):
        raise ValueError(
            f"{meaning}: found {text[:MAX_UID_CHARACTERS]!r}, expected a UID of digits and dots, "
            f"at most {MAX_UID_CHARACTERS} characters"
        )
    return text


def read_instance(content: bytes) -> Instance:
    """Return the instance in the bytes of a file of DICOM.

    Raises:
        ValueError: they are no DICOM, or a UID is none.
    """
    try:
        data = pydicom.dcmread(BytesIO(content), stop_before_pixels=True, specific_tags=list(TAGS))
        study, uid = (data.get(tag) for tag in TAGS)
    except Exception:  # bytes of somebody else: pydicom raises whatever they lead to
        raise ValueError("instance: not readable as DICOM; refused") from None
    return Instance(checked_uid(study, TAGS[0]), checked_uid(uid, TAGS[1]), content)
