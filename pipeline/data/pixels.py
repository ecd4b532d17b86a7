"""Decoded pixels of a file, and what the file says of them."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Pixels(NamedTuple):
    """Pixels of a flat image or of a volume, as a viewer shows them.

    Attributes:
        array: ``(rows, columns)``, ``(rows, columns, channels)``; of a volume ``(X, Y, Z)`` or
            ``(X, Y, Z, channels)``.
        affine: ``(4, 4)`` of a volume, from indices to millimetres in NIfTI's axes; None: flat.
        spacing: distance of the rows and of the columns of a flat image, mm; None: the file tells
            none.
        maximum: largest value of the number format, which a viewer shows as white; None: the values
            have a unit, as Hounsfield units, or are fractions.
        alpha: whether the last channel is opacity.
        colour: whether the channels are red, green and blue, and not separate images.
        aspect: height of a flat image's pixel divided by its width, where ``spacing`` is unknown.
    """

    array: NDArray[Any]
    affine: NDArray[np.float64] | None = None
    spacing: tuple[float, float] | None = None
    maximum: float | None = None
    alpha: bool = False
    colour: bool = False
    aspect: float = 1.0

    @property
    def spatial_dims(self) -> int:
        """Number of spatial axes, 2 or 3."""
        return 2 if self.affine is None else 3

    @property
    def size(self) -> tuple[int, ...]:
        """Pixels along each axis, without channels."""
        return self.array.shape[: self.spatial_dims]

    @property
    def channels(self) -> int:
        """Number of values per pixel."""
        return self.array.shape[-1] if self.array.ndim > self.spatial_dims else 1


def of_bits(bits: NDArray[np.bool_], label: bool) -> NDArray[np.uint8]:
    """Return 0 and 255, as a viewer shows bits; of a mask 0 and 1.

    Example:
        >>> of_bits(np.array([False, True]), label=False).tolist()
        [0, 255]
    """
    return bits * np.uint8(1 if label else 255)


def format_maximum(dtype: np.dtype[Any]) -> float | None:
    """Return the largest value of an unsigned number format; None of any other.

    Example:
        >>> format_maximum(np.dtype("uint16")), format_maximum(np.dtype("float32"))
        (65535.0, None)
    """
    return float(np.iinfo(dtype).max) if dtype.kind == "u" else None
