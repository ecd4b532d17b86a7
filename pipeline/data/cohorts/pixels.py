"""Conversion of original values to the pixels of a cohort."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Value = TypeVar("Value", bound=np.generic)


def to_8_bits(values: NDArray[Any], width: float, level: float) -> NDArray[np.uint8]:
    """Map a window of CT values to 0 to 255; values outside it are clipped.

    Example:
        >>> to_8_bits(np.array([-500, -160, 40, 240, 900]), width=400, level=40).tolist()
        [0, 0, 128, 255, 255]
    """
    low = level - width / 2
    scaled = (values.astype(np.float64) - low) / width
    return (255 * scaled.clip(0, 1) + 0.5).astype(np.uint8)


def to_grey(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Make one channel of 8 bits from a grey, RGB or RGBA image, without alpha.

    Colours are weighted as in ITU-R 601-2; 16 bits are scaled by the format's largest value.

    Raises:
        ValueError: neither integers of 8 or 16 bits, nor boolean.
    """
    if pixels.dtype == np.uint16:
        pixels = (pixels / 257 + 0.5).astype(np.uint8)
    if pixels.dtype == bool:
        pixels = pixels * np.uint8(255)
    if pixels.dtype != np.uint8:
        raise ValueError(f"pixels of {pixels.dtype}; expected integers of 8 or 16 bits")
    if pixels.ndim == 3 and pixels.shape[2] == 2:  # grey and alpha
        pixels = pixels[..., 0]
    if pixels.ndim == 3:
        pixels = np.asarray(Image.fromarray(pixels[..., :3]).convert("L"))
    return pixels


def to_rgb(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Make three channels of 8 bits from a grey, RGB or RGBA image, without alpha.

    Raises:
        ValueError: neither integers of 8 or 16 bits, nor boolean.
    """
    if pixels.ndim == 3 and pixels.shape[2] >= 3:
        return np.dstack([to_grey(pixels[..., channel]) for channel in range(3)])
    return np.repeat(to_grey(pixels)[..., None], 3, axis=-1)


def resize(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Resize to a square; each pixel is the mean of the pixels it covers."""
    if pixels.shape == (side, side):
        return pixels
    image = Image.fromarray(pixels).resize((side, side), Image.Resampling.BOX)
    return np.asarray(image)


def resize_mask(mask: NDArray[np.bool_], side: int) -> NDArray[np.uint8]:
    """Resize a mask to a square of 0 and 255: 255 where at least half of the pixels are on."""
    return np.uint8(255) * (resize(mask * np.uint8(255), side) >= 128)


def crop_centre(pixels: NDArray[Value], side: int) -> NDArray[Value]:
    """Crop the central square.

    Raises:
        ValueError: the image is smaller than the square.

    Example:
        >>> crop_centre(np.arange(16).reshape(4, 4), 2).tolist()
        [[5, 6], [9, 10]]
    """
    if min(pixels.shape) < side:
        raise ValueError(
            f"{pixels.shape[0]} x {pixels.shape[1]} pixels; expected at least {side} x {side}"
        )
    top, left = ((length - side) // 2 for length in pixels.shape)
    return pixels[top : top + side, left : left + side]
