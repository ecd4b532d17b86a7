"""Small pictures in a page."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LABEL_COLOURS = (
    (0, 190, 130), (240, 228, 66), (204, 121, 167), (86, 200, 233), (240, 90, 80), (170, 130, 250),
)  # fmt: skip
"""Of the labels 1, 2, …, in pictures and in the viewer of volumes."""
FILLED = 0.3
"""Opacity of a label's inside."""
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
        width, height = (max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BOX)
    return embedded(picture, "WEBP", quality=QUALITY)


def embedded(picture: Image.Image, form: str, **options: int) -> str:
    """Return a picture in a form (PNG, WEBP) as an address."""
    buffer = io.BytesIO()
    picture.save(buffer, format=form, **options)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/{form.lower()};base64,{text}"


def with_masks(picture: NDArray[np.uint8], labels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Colour the labels in a picture, and draw their outlines; numbers share six colours.

    Args:
        picture: ``(H, W, 3)``.
        labels: ``(H, W)``, 0 is background.

    Example:
        >>> labels = np.zeros((5, 5), np.uint8)
        >>> labels[1:4, 1:4] = 1
        >>> picture = with_masks(np.zeros((5, 5, 3), np.uint8), labels)
        >>> picture[0, 0].tolist(), picture[1, 1].tolist(), picture[2, 2].tolist()
        ([0, 0, 0], [0, 190, 130], [0, 57, 39])
    """
    inside = labels > 0
    colours = np.array(LABEL_COLOURS)[(labels - 1) % len(LABEL_COLOURS)]
    drawn = picture.astype(np.float64)
    drawn[inside] += FILLED * (colours[inside] - drawn[inside])
    edge = inside & _differs_from_neighbour(labels)
    drawn[edge] = colours[edge]
    return np.rint(drawn).astype(np.uint8)


def _differs_from_neighbour(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    padded = np.pad(labels, 1)
    shifts = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    differs: NDArray[np.bool_] = np.any([labels != shifted for shifted in shifts], axis=0)
    return differs
