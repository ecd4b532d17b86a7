"""The modality of an image: CT, MR, DX, …, as DICOM states it."""

from pathlib import Path

from pipeline.data.dicom_header import is_dicom, read_header
from pipeline.data.series import headers_of, is_series

SAME_TECHNIQUE = {"CR": "DX"}
"""Modalities that name one technique: radiographs of a plate and of a flat detector."""


def modality_of(path: Path) -> str:
    """Return the modality of a DICOM file or series; empty where nothing states it.

    Raises:
        ValueError: a series that is not complete, or a corrupt file.
    """
    if is_series(path):
        return headers_of(path)[0].modality
    return read_header(path).modality if path.is_file() and is_dicom(path) else ""


def technique(modality: str) -> str:
    """Return the name under which modalities of one technique are compared.

    Example:
        >>> technique("CR") == technique("DX"), technique("CT")
        (True, 'CT')
    """
    return SAME_TECHNIQUE.get(modality, modality)
