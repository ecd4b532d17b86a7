"""Small pictures in a page."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

QUALITY = 88
"""Of WebP: outlines of one pixel keep their colours, at a fifth of PNG's size."""
SHARPEST_PERCENTILES = (0.5, 99.5)
"""Of the values, which become black and white: a bright clip does not darken all else."""


def in_bytes(values: NDArray[np.number]) -> NDArray[np.uint8]:
    """Return values as grey levels; equal ones are black, what is no number is black, too.

    Example:
        >>> in_bytes(np.array([0.0, 50.0, 100.0])).tolist()
        [0, 128, 255]
    """
    numbers = np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)
    low, high = np.percentile(numbers, SHARPEST_PERCENTILES)
    unit = (numbers - low) / max(float(high - low), 1e-9)
    grey: NDArray[np.uint8] = np.rint(255 * unit.clip(0, 1)).astype(np.uint8)
    return grey


def as_webp(pixels: NDArray[np.uint8], max_side: int) -> str:
    """Return a picture as the address that an ``img`` takes, the picture within.

    Args:
        pixels: ``(H, W)`` or ``(H, W, 3)``.
        max_side: pixels that its longer side has at most.
    """
    picture = Image.fromarray(pixels)
    scale = max_side / max(picture.size)
    if scale < 1:
        sides = (max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize(tuple(sides), Image.Resampling.BOX)
    return embedded(picture, "WEBP", quality=QUALITY)


def embedded(picture: Image.Image, form: str, **options: int) -> str:
    """Return a picture in a form (PNG, WEBP) as an address."""
    buffer = io.BytesIO()
    picture.save(buffer, format=form, **options)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/{form.lower()};base64,{text}"
