"""A projection, such as a radiograph, as a viewer shows it."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dicom_header import Header

LUT_TAGS = ("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept", "VOILUTSequence",
            "WindowCenter", "WindowWidth", "VOILUTFunction", "PixelRepresentation", "BitsStored",
            "SOPClassUID")  # fmt: skip


def as_displayed(stored: NDArray[Any], header: Header) -> NDArray[Any]:
    """Map stored values to what a viewer shows, from 0 (black) to ``header.levels`` (white).

    The modality's table or rescaling comes first. Then the VOI table, or the first window, or, in a
    file without both, the whole range of the number format. MONOCHROME1, in which low values are
    bright, is inverted last. The result is rounded, so that it is the same on every machine.

    Args:
        stored: stored values, ``(rows, columns)``.
        header: header of the file.

    Returns:
        ``(rows, columns)``, uint8 for up to 8 bits, else uint16.

    Raises:
        ValueError: a table or a window that pydicom cannot apply.
    """
    data = _tables(header.path)
    try:
        values, ends = _modality_values(stored, header, data)
        shares = _display_shares(values, ends, data)
    except Exception as error:
        raise ValueError(
            f"{header.path}: its display table or window cannot be applied ({error}); "
            "export the image again, as PNG of 16 bits"
        ) from None
    shares = 1 - shares if header.photometric == "MONOCHROME1" else shares
    dtype = np.uint8 if header.bits <= 8 else np.uint16
    return np.rint(header.levels * shares.clip(0, 1)).astype(dtype)


def _tables(path: Path) -> Any:
    import pydicom

    return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(LUT_TAGS), force=True)


def _modality_values(
    stored: NDArray[Any], header: Header, data: Any
) -> tuple[NDArray[Any], tuple[float, float]]:
    """Return the modality's values, and the lowest and highest that the format can hold."""
    from pydicom.pixels import apply_modality_lut

    if data.get("ModalityLUTSequence"):
        bits = data.ModalityLUTSequence[0].LUTDescriptor[2]
        return apply_modality_lut(stored, data), (0.0, float(2**bits - 1))
    slope = float(data.get("RescaleSlope") or 1)
    intercept = float(data.get("RescaleIntercept") or 0)
    first = -(2 ** (header.bits - 1)) if header.signed else 0
    ends = sorted(slope * value + intercept for value in (first, first + header.levels))
    return slope * stored.astype(np.float64) + intercept, (ends[0], ends[1])


def _display_shares(
    values: NDArray[Any], ends: tuple[float, float], data: Any
) -> NDArray[np.float64]:
    """Return the brightness, from 0 to 1."""
    from pydicom.pixels import apply_voi

    if data.get("VOILUTSequence"):
        bits = data.VOILUTSequence[0].LUTDescriptor[2]
        shown = apply_voi(np.rint(values).astype(np.int64), data).astype(np.float64)
        return np.asarray(shown / (2**bits - 1))
    if data.get("WindowCenter") is not None and data.get("WindowWidth") is not None:
        return _windowed(values, data)
    return np.asarray((values - ends[0]) / (ends[1] - ends[0]))


def _windowed(values: NDArray[Any], data: Any) -> NDArray[np.float64]:
    from pydicom.dataset import Dataset
    from pydicom.pixels import apply_windowing

    # of 16 bits and without rescaling, so that the result has one range for all files
    window = Dataset()
    window.PhotometricInterpretation, window.PixelRepresentation = "MONOCHROME2", 0
    window.BitsStored = 16
    for name in ("WindowCenter", "WindowWidth", "VOILUTFunction"):
        if name in data:
            window[name] = data[name]
    return np.asarray(apply_windowing(values, window) / (2**16 - 1))
