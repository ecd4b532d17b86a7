"""Several images of one case in one file: a volume of four axes, or a flat image of several pages.

The numbers are kept; images of different number formats get the smallest one that holds all.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import tifffile

from pipeline.data.pixels import Pixels
from pipeline.data.readers import count_pages, is_flat_dicom, read_pixels, stack_channels
from pipeline.data.suffixes import PNG_LIKE, TIFF, suffix_of
from pipeline.data.volumes import Volume, read_volume, stack_volumes

MICROMETRES = 1e3
"""Micrometres, OME's unit, of a millimetre."""


def channels_suffix(first: Path) -> str:
    """Return the format of the file of several images, given the first of them."""
    flat = (
        is_flat_dicom(first)
        or suffix_of(first) in PNG_LIKE
        or (suffix_of(first) in TIFF and count_pages(first) == 1)
    )
    return ".ome.tif" if flat else ".nii.gz"


def write_channels(
    files: Sequence[Path], names: Sequence[str], target: Path
) -> list[np.dtype[np.generic]]:
    """Write the images of one case as channels of one file: NIfTI, the channels last, or OME-TIFF.

    Args:
        files: an image for each channel.
        names: of the channels.
        target: file to write, ``.nii.gz`` or ``.ome.tif``.

    Returns:
        The number format of each image, and that of the file.

    Raises:
        ValueError: an image of several values a pixel, or two that lie on different grids.
    """
    if suffix_of(target) == ".nii.gz":
        volumes = [read_volume(file) for file in files]
        stacked = stack_volumes(files, volumes)
        _save_volume(stacked, target)
        return [*(volume.array.dtype for volume in volumes), stacked.array.dtype]
    return _write_flat(files, names, target)


def _write_flat(
    files: Sequence[Path], names: Sequence[str], target: Path
) -> list[np.dtype[np.generic]]:
    flat = [(str(file), read_pixels(file)) for file in files]
    for file, pixels in flat:
        if pixels.channels > 1:
            raise ValueError(
                f"{file}: {pixels.channels} values a pixel; expected one of each channel; convert "
                "it to grey"
            )
        if pixels.aspect != 1:
            raise ValueError(f"{file}: pixels that are not square; resample it")
    stacked = stack_channels(flat)
    write_flat_channels(stacked, names, target)
    return [*(pixels.array.dtype for _, pixels in flat), stacked.array.dtype]


def write_flat_channels(stacked: Pixels, names: Sequence[str], target: Path) -> None:
    """Write the channels of a flat image as OME-TIFF.

    Args:
        stacked: ``(rows, columns, channels)``.
        names: of the channels.
        target: file to write.
    """
    metadata: dict[str, Any] = {"axes": "CYX", "Channel": {"Name": list(names)}}
    if stacked.spacing:
        rows, columns = (float(length) * MICROMETRES for length in stacked.spacing)
        metadata |= {"PhysicalSizeY": rows, "PhysicalSizeX": columns}
    array = np.ascontiguousarray(np.moveaxis(stacked.array, -1, 0))
    tifffile.imwrite(target, array, photometric="minisblack", metadata=metadata, ome=True)


def format_line(names: Sequence[str], formats: Sequence[np.dtype[np.generic]]) -> str:
    """Say in which number format images of different ones are written; empty: all have one.

    Example:
        >>> format_line(["T1", "T2"], [np.dtype(name) for name in ("int16", "float32", "float32")])
        'T1 of int16 and T2 of float32 are written as float32'
    """
    *own, common = formats
    if len(set(own)) == 1:
        return ""
    listed = " and ".join(f"{name} of {one}" for name, one in zip(names, own, strict=True))
    return f"{listed} are written as {common}"


def _save_volume(volume: Volume, target: Path) -> None:
    array = volume.array.astype(np.uint8) if volume.array.dtype == bool else volume.array
    image = nib.Nifti1Image(array, volume.affine, dtype=array.dtype)
    image.header.set_xyzt_units("mm" if volume.in_mm else "unknown")
    nib.save(image, target)
