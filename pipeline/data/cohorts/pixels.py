"""From original values to the pixels of a cohort."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Value = TypeVar("Value", bound=np.generic)


def to_8_bits(values: NDArray[Any], width: float, level: float) -> NDArray[np.uint8]:
    """Map a window of CT values to 0 to 255; what lies outside is cut off.

    Example:
        >>> to_8_bits(np.array([-500, -160, 40, 240, 900]), width=400, level=40).tolist()
        [0, 0, 128, 255, 255]
    """
    low = level - width / 2
    scaled = (values.astype(np.float64) - low) / width
    return (255 * scaled.clip(0, 1) + 0.5).astype(np.uint8)


def grey(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Make one channel of 8 bits from a grey, RGB or RGBA image, alpha left out.

    Colours are weighed as in ITU-R 601-2, and 16 bits scaled by the largest value of the format.

    Raises:
        ValueError: neither whole numbers of 8 or 16 bits, nor boolean.
    """
    if pixels.dtype == np.uint16:
        pixels = (pixels / 257 + 0.5).astype(np.uint8)
    if pixels.dtype == bool:
        pixels = pixels * np.uint8(255)
    if pixels.dtype != np.uint8:
        raise ValueError(f"pixels of {pixels.dtype}; expected whole numbers of 8 or 16 bits")
    if pixels.ndim == 3 and pixels.shape[2] == 2:  # grey and alpha
        pixels = pixels[..., 0]
    if pixels.ndim == 3:
        pixels = np.asarray(Image.fromarray(pixels[..., :3]).convert("L"))
    return pixels


def coloured(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Make three channels of 8 bits from a grey, RGB or RGBA image, alpha left out.

    Raises:
        ValueError: neither whole numbers of 8 or 16 bits, nor boolean.
    """
    if pixels.ndim == 3 and pixels.shape[2] >= 3:
        return np.dstack([grey(pixels[..., channel]) for channel in range(3)])
    return np.repeat(grey(pixels)[..., None], 3, axis=-1)


def fitted(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Resize to a square; each pixel is the mean of what it covers."""
    if pixels.shape == (side, side):
        return pixels
    image = Image.fromarray(pixels).resize((side, side), Image.Resampling.BOX)
    return np.asarray(image)


def fitted_mask(mask: NDArray[np.bool_], side: int) -> NDArray[np.uint8]:
    """Resize a mask to a square of 0 and 255: on where at least half of what it covers is."""
    return np.uint8(255) * (fitted(mask * np.uint8(255), side) >= 128)


def central(pixels: NDArray[Value], side: int) -> NDArray[Value]:
    """Cut the central square.

    Raises:
        ValueError: the image is smaller.

    Example:
        >>> central(np.arange(16).reshape(4, 4), 2).tolist()
        [[5, 6], [9, 10]]
    """
    if min(pixels.shape) < side:
        raise ValueError(
            f"{pixels.shape[0]} x {pixels.shape[1]} pixels; expected at least {side} a side"
        )
    top, left = ((length - side) // 2 for length in pixels.shape)
    return pixels[top : top + side, left : left + side]
