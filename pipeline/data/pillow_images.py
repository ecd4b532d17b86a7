"""Decoding PNG, JPEG and BMP as a viewer shows them."""

import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipeline.data.decoding import check_size
from pipeline.data.pixels import Pixels, format_maximum, of_bits

FORMATS = {"PNG", "JPEG", "MPO", "BMP", "DIB"}
"""Names that Pillow gives to the formats; MPO is a JPEG with a preview."""
MODES = ("1", "L", "LA", "I;16", "I;16B", "RGB", "RGBA")
"""Pillow's modes that are read as they are."""
PALETTES = ("P", "PA")
MEANINGS = {
    "CMYK": "inks", "YCbCr": "video colour", "LAB": "Lab colour", "HSV": "hue and saturation",
    "I": "whole numbers of 32 bits", "F": "fractions", "La": "premultiplied opacity",
    "RGBa": "premultiplied opacity", "RGBX": "colour with padding",
}  # fmt: skip
BLACK = (0, 0, 0)


def read_pillow(path: Path, label: bool = False) -> Pixels:
    """Decode an image.

    The orientation of EXIF is applied. The colours of a palette are applied to an image; of a mask
    its indices are the numbers, if index 0 is black, the background.

    Args:
        path: file.
        label: whether the file is a mask, whose numbers mean classes or instances.

    Raises:
        ValueError: a mode that is not read, several frames, or a mask whose palette has another
            colour than black at index 0.
    """
    with Image.open(path) as image:
        _check_format(path, image)
        check_size(path, image.size)
        depth, colour_type = _png_header(path) if image.format == "PNG" else (8, 0)
        if depth == 16 and colour_type != 0:  # Pillow reads 16 bits of colour as 8
            return _pixels(np.asarray(imagecodecs.png_decode(path.read_bytes())))
        upright = ImageOps.exif_transpose(image)
        if image.mode in PALETTES:
            return _of_palette(path, upright, label)
        if image.mode not in MODES:
            raise ValueError(
                f"{path}: mode {image.mode} ({MEANINGS.get(image.mode, 'not grey or RGB')}); "
                "expected grey, RGB or RGBA of 8 or 16 bits; convert it"
            )
        array = np.asarray(upright)
    if label and depth in (2, 4):  # Pillow spreads them to 0 to 255
        array = array // np.uint8(255 // (2**depth - 1))
    return _pixels(array, label)


def _check_format(path: Path, image: Image.Image) -> None:
    if image.format not in FORMATS:
        raise ValueError(
            f"{path}: holds {image.format}, which its name does not say; rename it to its format"
        )
    frames = getattr(image, "n_frames", 1)
    if image.format != "MPO" and frames > 1:
        raise ValueError(f"{path}: {frames} frames; expected one image; save each as a file")


def _png_header(path: Path) -> tuple[int, int]:
    """Return the bits of a channel, and the type of colour; 0 is grey."""
    with path.open("rb") as file:
        depth, colour_type = struct.unpack("BB", file.read(26)[24:26])
    return depth, colour_type


def _of_palette(path: Path, image: Image.Image, label: bool) -> Pixels:
    if label:
        palette = image.getpalette("RGB") or []
        if tuple(palette[:3]) != BLACK:
            raise ValueError(
                f"{path}: a mask with a palette whose index 0 is the colour {tuple(palette[:3])}; "
                "expected black, the background; save it with one number for each class, 0 for the "
                "background"
            )
        return _pixels(np.asarray(image.convert("P") if image.mode == "PA" else image))
    transparent = image.mode == "PA" or "transparency" in image.info
    colours = np.asarray(image.convert("RGBA" if transparent else "RGB"))
    grey = bool((colours[..., :3] == colours[..., :1]).all())
    if not grey:
        return _pixels(colours)
    return _pixels(colours[..., [0, 3]] if transparent else colours[..., 0])


def _pixels(array: NDArray[Any], label: bool = False) -> Pixels:
    if array.dtype == bool:
        array = of_bits(array, label)
    maximum = format_maximum(array.dtype)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    channels = array.shape[2] if array.ndim == 3 else 1
    return Pixels(array, maximum=maximum, alpha=channels in (2, 4), colour=channels > 2)
