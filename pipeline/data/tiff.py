"""Decoding TIFF by its axes: pages of a stack, channels, colour, tiles, pyramids."""

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

from pipeline.data.decoding import check_size
from pipeline.data.pixels import Pixels, of_bits
from pipeline.data.tiff_problems import check_pages, whole_tiff

STACK_AXES = "ZTQIRP"
"""Axes along which pages lie; Q and I are tifffile's letters for pages of unknown meaning."""
MILLIMETRES = {
    "m": 1e3, "dm": 1e2, "cm": 10.0, "mm": 1.0, "µm": 1e-3, "μm": 1e-3, "um": 1e-3, "micron": 1e-3,
    "microns": 1e-3, "micrometer": 1e-3, "micrometre": 1e-3, r"\u00b5m": 1e-3, "nm": 1e-6,
    "å": 1e-7, "pm": 1e-9, "inch": 25.4, "in": 25.4,
}  # fmt: skip
"""Millimetres of a unit of length, as OME and ImageJ write it."""
PHOTOMETRIC = tifffile.PHOTOMETRIC
READABLE = {
    PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB, PHOTOMETRIC.PALETTE,
    PHOTOMETRIC.YCBCR, PHOTOMETRIC.MASK,
}  # fmt: skip
"""How values mean brightness; inks, Lab and raw sensor values are refused."""


class Tiff(NamedTuple):
    """All pages of a TIFF.

    Attributes:
        array: ``(pages, rows, columns)`` or ``(pages, rows, columns, channels)``.
        spacing: distance of pages, rows and columns, mm; NaN where the file tells none.
        maximum: largest value of the number format; None of fractions and signed numbers.
        alpha: whether the last channel is opacity.
        colour: whether the channels are red, green and blue.
    """

    array: NDArray[Any]
    spacing: tuple[float, float, float]
    maximum: float | None
    alpha: bool
    colour: bool


def read_tiff_page(path: Path, page: int, label: bool = False) -> Pixels:
    """Decode one page.

    Raises:
        ValueError: see :func:`read_tiff`.
    """
    tiff = read_tiff(path, label)
    rows, columns = tiff.spacing[1:]
    spacing = None if math.isnan(rows) or math.isnan(columns) else (rows, columns)
    return Pixels(
        tiff.array[page], None, spacing, tiff.maximum, alpha=tiff.alpha, colour=tiff.colour
    )


def centimetres(spacing: tuple[float, float]) -> dict[str, Any]:
    """Return the pixel size as arguments of :func:`tifffile.imwrite`.

    Args:
        spacing: distance of the rows and of the columns, mm.

    Example:
        >>> centimetres((2.0, 0.5))
        {'resolution': (20.0, 5.0), 'resolutionunit': 'CENTIMETER'}
    """
    rows, columns = spacing
    return {"resolution": (10 / columns, 10 / rows), "resolutionunit": "CENTIMETER"}


def count_tiff_pages(path: Path) -> int:
    """Return the number of pages without decoding them.

    Raises:
        ValueError: several images of different sizes, or more than one axis of pages.
    """
    with whole_tiff(path) as file:
        level = _largest_level(path, file)
        check_size(path, level.shape)
        return _count_pages(path, level.axes, level.shape)


def read_tiff(path: Path, label: bool = False) -> Tiff:
    """Decode all pages of a TIFF at its highest resolution.

    Where a value of 0 is white (MinIsWhite), the values are inverted, in images and in masks alike:
    they mean what a viewer shows. The colours of a palette are applied to an image; of a mask its
    indices are the numbers.

    Args:
        path: file.
        label: whether the file is a mask.

    Raises:
        ValueError: several images of different sizes, more than one axis of pages, or values that
            mean neither brightness nor RGB.
    """
    status = path.stat()
    return _read_tiff(path, label, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=2)  # pages of a stack are read one after the other
def _read_tiff(path: Path, label: bool, _modified: int, _bytes: int) -> Tiff:
    with whole_tiff(path) as file:
        level = _largest_level(path, file)
        check_pages(path, level)
        page = level.keyframe
        if page.photometric not in READABLE:
            raise ValueError(
                f"{path}: values of the kind {page.photometric.name}; expected grey or RGB; "
                "convert it"
            )
        _count_pages(path, level.axes, level.shape)
        array, channels = _pages_first(level.asarray(), level.axes)
        spacing = _spacing(file, level)
    maximum = _maximum(page, array.dtype)
    if array.dtype == bool:
        array, maximum = of_bits(array, label), 1.0 if label else 255.0
    if page.photometric == PHOTOMETRIC.PALETTE and not label:
        array, maximum = _apply_palette(array, page.colormap), 255.0
        channels = array.ndim > 3
    if page.photometric == PHOTOMETRIC.MINISWHITE and maximum is not None:
        array = array.dtype.type(maximum) - array
    colour = channels and array.shape[-1] > 2 and page.photometric in (
        PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR, PHOTOMETRIC.PALETTE
    )  # fmt: skip
    alpha = bool(channels and page.extrasamples and array.shape[-1] in (2, 4))
    return Tiff(array, spacing, maximum, alpha, colour)


def _largest_level(path: Path, file: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    first, *others = file.series
    same_kind = [one for one in others if one.kind == first.kind and not one.keyframe.is_reduced]
    named = file.is_svs or file.is_ndpi or file.is_scn or file.is_ome  # thumbnails, labels
    if same_kind and not named:
        sizes = ", ".join(dict.fromkeys(_format_shape(one.shape) for one in file.series))
        raise ValueError(
            f"{path}: {len(file.series)} images of {sizes} in one file; expected one, or pages of "
            "one size; save each as a file"
        )
    return first.levels[0]


def _count_pages(path: Path, axes: str, shape: Sequence[int]) -> int:
    lengths = {
        axis: length
        for axis, length in zip(axes, shape, strict=True)
        if axis not in "YXSC" and length > 1
    }
    if len(lengths) > 1 or not set(lengths) <= set(STACK_AXES):
        present = ", ".join(f"{length} along {axis}" for axis, length in lengths.items())
        raise ValueError(
            f"{path}: a TIFF with the axes {axes} ({present}); expected one stack of pages; save "
            "each stack as a file"
        )
    return next(iter(lengths.values()), 1)


def _pages_first(array: NDArray[Any], axes: str) -> tuple[NDArray[Any], bool]:
    """Order the axes as pages, rows, columns, channels; tell whether there are channels."""
    pages = [i for i, axis in enumerate(axes) if axis not in "YXSC"]
    channels = [i for i, axis in enumerate(axes) if axis in "SC" and array.shape[i] > 1]
    single = [i for i, axis in enumerate(axes) if axis in "SC" and array.shape[i] == 1]
    order = [*pages, *single, axes.index("Y"), axes.index("X"), *channels]
    ordered = array.transpose(order)
    count = math.prod(array.shape[i] for i in (*pages, *single))
    rows, columns = array.shape[axes.index("Y")], array.shape[axes.index("X")]
    values = [math.prod(array.shape[i] for i in channels)] if channels else []
    return ordered.reshape(count, rows, columns, *values), bool(channels)


def _maximum(page: tifffile.TiffPage, dtype: np.dtype[Any]) -> float | None:
    """Return the largest value of the bits that a pixel has: 12 bits are stored in 16."""
    return float(2**page.bitspersample - 1) if dtype.kind == "u" else None


def _apply_palette(array: NDArray[Any], palette: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return the colours of 8 bits, ``(..., 3)``; of a palette of greys one value, ``(...)``."""
    colours = (palette.T // 257).astype(np.uint8)
    grey = bool((colours == colours[:, :1]).all())
    return colours[:, 0][array] if grey else colours[array]


def _spacing(file: tifffile.TiffFile, level: Any) -> tuple[float, float, float]:
    """Return the distance of pages, rows and columns, mm; NaN where the file tells none."""
    if file.is_ome:
        return _ome_spacing(file.ome_metadata or "")
    rows, columns = (_tag_spacing(file, level, tag) for tag in ("YResolution", "XResolution"))
    if file.is_imagej:
        metadata = file.imagej_metadata or {}
        unit = MILLIMETRES.get(str(metadata.get("unit", "")).lower(), math.nan)
        return float(metadata.get("spacing", math.nan)) * unit, rows * unit, columns * unit
    # inches are of print: 72 or 300 a inch, whatever the image shows
    unit = 10.0 if level.keyframe.resolutionunit == tifffile.RESUNIT.CENTIMETER else math.nan
    return math.nan, rows * unit, columns * unit


def _tag_spacing(file: tifffile.TiffFile, level: Any, name: str) -> float:
    tag = level.keyframe.tags.get(name)
    if tag is None or not tag.value[0]:
        return math.nan
    pixels, units = tag.value
    return float(units) / float(pixels)


def _ome_spacing(xml: str) -> tuple[float, float, float]:
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return (math.nan,) * 3
    pixels = next((e for e in root.iter() if re.sub("{.*}", "", e.tag) == "Pixels"), None)
    if pixels is None:
        return (math.nan,) * 3

    def along(axis: str) -> float:
        unit = pixels.get(f"PhysicalSize{axis}Unit", "µm").lower()
        length = pixels.get(f"PhysicalSize{axis}")
        return float(length) * MILLIMETRES.get(unit, math.nan) if length else math.nan

    return along("Z"), along("Y"), along("X")


def _format_shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
