"""Hashes of decoded pixels: they depend on no compression, no metadata and no byte order."""

import hashlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

ORIGIN_STEP_MM = 1e-3
"""Positions are rounded to this step, so that two formats of one volume agree."""
SIGNIFICANT_DIGITS = 4
"""Decimals of a voxel's size and direction, relative to its size."""
EDGE_SHIFT = 0.01
"""Share of a step by which rounding is shifted: many sizes lie exactly between two steps."""
MAX_WHOLE_FLOAT = 2.0**53
"""Above it float64 does not hold every whole number."""


def pixels_sha256(array: NDArray[Any], affine: NDArray[np.float64] | None = None) -> str:
    """Hash the pixels of an image: number format, shape, geometry and values.

    Args:
        array: decoded pixels, of any shape; their byte order and memory order do not matter.
        affine: ``(4, 4)``, from indices to mm; origins are rounded to 0.001 mm, directions and
            sizes to 1/10,000. None: the format has no geometry.

    Example:
        >>> row = np.arange(3, dtype=np.uint16)
        >>> pixels_sha256(row) == pixels_sha256(row.astype(">u2"))
        True
        >>> pixels_sha256(row) == pixels_sha256(row.astype(np.uint8))
        False
        >>> pixels_sha256(row, np.eye(4)) == pixels_sha256(row, np.diag([2.0, 1.0, 1.0, 1.0]))
        False
    """
    return _sha256(array, f"{array.dtype.newbyteorder('<').str} {array.shape} {_geometry(affine)}")


def label_sha256(array: NDArray[Any], affine: NDArray[np.float64] | None = None) -> str:
    """Hash a label: shape, geometry and numbers, in whatever number format they are stored.

    Args:
        array: label numbers, of any shape.
        affine: as in :func:`pixels_sha256`.

    Example:
        >>> mask = np.array([[0, 1]], np.uint8)
        >>> label_sha256(mask) == label_sha256(mask.astype(np.float32))
        True
        >>> label_sha256(mask) == label_sha256(2 * mask)
        False
    """
    numbers = _in_smallest_format(array)
    return pixels_sha256(numbers, affine)


def values_sha256(array: NDArray[Any]) -> str:
    """Hash the values of an image, in whatever number format, file format and position.

    Copies of an image have the same hash: in another number format that holds its values exactly,
    in a volume of one slice, as grey in equal channels, or with a constant alpha channel. An image
    that was turned, resized, windowed or compressed with loss has another hash.

    Args:
        array: ``(rows, columns)``, ``(rows, columns, channels)`` or ``(X, Y, Z)``.

    Example:
        >>> grey = np.array([[0, 255], [7, 9]], np.uint8)
        >>> copies = grey.astype(np.uint16), grey[..., None], np.stack([grey] * 3, axis=-1)
        >>> {values_sha256(copy) for copy in copies} == {values_sha256(grey)}
        True
    """
    values = _in_smallest_format(_one_channel(array))
    squeezed = values.squeeze()
    return _sha256(squeezed, f"{squeezed.dtype.newbyteorder('<').str} {squeezed.shape}")


def _sha256(array: NDArray[Any], heading: str) -> str:
    digest = hashlib.sha256(f"{heading}\n".encode())
    digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def _geometry(affine: NDArray[np.float64] | None) -> str:
    if affine is None:
        return "flat"
    columns = [_rounded(column, _step_of(column)) for column in affine[:3, :3].T]
    return str([*columns, _rounded(affine[:3, 3], ORIGIN_STEP_MM)])


def _step_of(column: NDArray[np.float64]) -> float:
    size = float(np.linalg.norm(column)) * (1 + EDGE_SHIFT)
    exponent = math.floor(math.log10(size)) if 0 < size < math.inf else 0
    return float(10.0 ** (exponent - SIGNIFICANT_DIGITS))


def _rounded(values: NDArray[np.float64], step: float) -> list[str]:
    steps = np.floor(values / step + 0.5 + EDGE_SHIFT)
    return [f"{number:.0f}*{step:.0e}" for number in steps]


def _one_channel(array: NDArray[Any]) -> NDArray[Any]:
    """Return an image without its constant alpha channel, and grey in equal channels in one."""
    if array.ndim != 3 or array.shape[2] > 4:
        return array
    last = array[..., -1]
    has_alpha = array.shape[2] in (2, 4) and bool((last == last.flat[0]).all())
    colours = array[..., :-1] if has_alpha else array
    return colours[..., 0] if bool((colours == colours[..., :1]).all()) else colours


def _in_smallest_format(array: NDArray[Any]) -> NDArray[Any]:
    """Return the values in the smallest whole-number format that holds them, else in float64."""
    if array.dtype.kind not in "biuf" or not array.size:
        return array
    if array.dtype.kind == "f" and not _is_whole(array):
        return _one_zero_one_nan(array)
    low, high = int(array.min()), int(array.max())
    extreme = min(low, -high - 1) if low < 0 else high
    return array.astype(np.min_scalar_type(extreme))


def _is_whole(array: NDArray[Any]) -> bool:
    within = array.min() > -MAX_WHOLE_FLOAT and array.max() < MAX_WHOLE_FLOAT  # no NaN is
    return bool(within and (array == np.trunc(array)).all())


def _one_zero_one_nan(array: NDArray[Any]) -> NDArray[np.float64]:
    values: NDArray[np.float64] = array.astype(np.float64) + 0.0  # -0.0 becomes 0.0
    values[np.isnan(values)] = np.nan
    return values
