"""Saving probabilities, masks and instances in the format of the image they belong to.

Boolean arrays are masks, whole numbers are instances, fractions are probabilities.
"""

from pathlib import Path

import nibabel as nib
import numpy as np
import tifffile
from PIL import Image

from pipeline.data.suffixes import NIFTI, TIFF, suffix_of


def in_16_bits(instances: np.ndarray, source: Path) -> np.ndarray:
    """Return the numbers of instances as uint16.

    Raises:
        ValueError: there are more than 16 bits can number.
    """
    most = np.iinfo(np.uint16).max
    if instances.max(initial=0) > most:
        raise ValueError(f"{source}: more than {most} instances, which 16 bits cannot number")
    return instances.astype(np.uint16)


def save_pages(path: Path, pages: np.ndarray, source: Path) -> None:
    """Save ``(pages, rows, columns)`` of one file in the manner of ``source``."""
    if suffix_of(source) in NIFTI:
        like = nib.load(source)
        _save_nifti(path, np.moveaxis(pages, 0, 2).reshape(like.shape), like.affine, like.header)
        return
    if pages.dtype == bool:
        pages = pages * np.uint8(255)
    if suffix_of(source) in TIFF:
        tifffile.imwrite(path, pages if len(pages) > 1 else pages[0], photometric="minisblack")
        return
    if np.issubdtype(pages.dtype, np.floating):
        pages = (pages * 65535 + 0.5).astype(np.uint16)
    Image.fromarray(pages[0]).save(path)


def save_volume(path: Path, volume: np.ndarray, affine: np.ndarray) -> None:
    """Save ``(X, Y, Z)`` as NIfTI, in millimetres."""
    header = nib.Nifti1Header()
    header.set_xyzt_units("mm")
    _save_nifti(path, volume, affine, header)


def _save_nifti(
    path: Path, volume: np.ndarray, affine: np.ndarray, header: nib.Nifti1Header
) -> None:
    dtype = np.uint8 if volume.dtype == bool else volume.dtype
    header = header.copy()
    header.set_data_dtype(dtype)
    nib.save(nib.Nifti1Image(volume.astype(dtype), affine, header), path)
