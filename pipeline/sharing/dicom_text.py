"""The text of a DICOM header, as far as it may say whose image it is.

Every attribute is read, private ones too, whose value representation holds text, a name, an
identifier, a date or a UID. These are all that DICOM's confidentiality profile (PS3.15, Table
E.1-1) lists and that hold such values, and more.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

TEXT = {"AE", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "UC", "UI", "UN", "UR", "UT"}
"""Value representations that hold such text; a time of day and a number identify nobody."""
IDENTIFIERS = ("ID", "IDs", "Number", "Numbers", "Address", "UID", "Identifier")
"""Endings of the keywords of attributes that identify."""
PLACEHOLDERS = {
    "anonymous", "anonymized", "anonymised", "anonym", "deidentified", "de-identified", "removed",
    "unknown", "none", "no name", "not available", "patient", "test",
}  # fmt: skip
"""What stands where an identifier was removed; a text may well have these words."""
STANDARD_UID = "1.2.840.10008."
"""Root of the UIDs that DICOM itself defines, as of a transfer syntax."""
TECHNICAL = {
    "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "ImplementationVersionName",
    "ImplementationClassUID", "ConvolutionKernel", "SequenceName", "PulseSequenceName",
    "TransmitCoilName", "ReceiveCoilName", "SpecificCharacterSet", "CodingSchemeDesignator",
    "CodingSchemeVersion", "ContextUID", "MappingResourceUID", "LUTExplanation",
    "WindowCenterWidthExplanation", "ViewName",
}  # fmt: skip
"""Attributes of the technique, not of the patient; a card may well name the scanner."""


class HeaderText(NamedTuple):
    """A text in the header of a file.

    Attributes:
        kind: the format and the field, as ``EXIF Artist``.
        text: what it says.
        naming: whether such a field names a person, or a thing of one patient.
    """

    kind: str
    text: str
    naming: bool = False


CODES = {"CodeValue", "CodeMeaning", "LongCodeValue", "URNCodeValue"}
"""A code names a thing of the technique, or, in a sequence that identifies, a person."""


def dicom_texts(path: Path) -> list[HeaderText]:
    """Return the texts of a file's header; its pixels are not read.

    Raises:
        ValueError: the file cannot be read.
    """
    from pydicom import dcmread

    dataset = dcmread(path, stop_before_pixels=True, force=True)
    return [*dataset_texts(dataset.file_meta), *dataset_texts(dataset)]


def dataset_texts(dataset: "Dataset", identifies: bool = False) -> Iterator[HeaderText]:
    """Yield the texts of a dataset and of its sequences.

    Args:
        dataset: of a file, or an item of a sequence.
        identifies: whether it belongs to a sequence that identifies a person.
    """
    for element in dataset:
        keyword = element.keyword
        if element.VR == "SQ":
            for item in element.value:
                yield from dataset_texts(item, identifies or "Identification" in keyword)
        if element.VR not in TEXT or keyword in TECHNICAL or (keyword in CODES and not identifies):
            continue
        kind = f"DICOM {keyword or element.tag}"
        naming = identifies or element.VR in ("PN", "UI") or keyword.endswith(IDENTIFIERS)
        for text in _values(element.value):
            if text.casefold() not in PLACEHOLDERS and not text.startswith(STANDARD_UID):
                yield HeaderText(kind, text, naming)


def _values(value: Any) -> list[str]:
    if isinstance(value, bytes):
        return [value.decode("utf-8", "replace").strip("\0 ")]
    values = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
    return [str(item).strip("\0 ") for item in values if item is not None]
