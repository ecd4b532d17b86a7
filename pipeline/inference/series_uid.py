"""Of which DICOM series an image is."""

from pipeline.data.dicom_header import is_dicom, read_header
from pipeline.data.readers import files_of
from pipeline.inference.report import InferenceCase

SEPARATOR = "\\"
"""Of several values of an attribute, as DICOM has it."""


def series_uid_of(case: InferenceCase) -> dict[str, str]:
    """Return ``series_uid``: that of an image's series, or of its channels'; of no DICOM none.

    Several UIDs, one for each channel, are separated by a backslash, as in DICOM.
    """
    image = case.entries[0]["image"]
    names = [image] if isinstance(image, str) else image
    firsts = [files_of(name)[0] for name in names]
    if not all(map(is_dicom, firsts)):
        return {}
    return {"series_uid": SEPARATOR.join(read_header(first).series for first in firsts)}
