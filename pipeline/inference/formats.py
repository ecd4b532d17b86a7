"""Saving probabilities, masks and instances in the format of the image they belong to.

Boolean arrays are masks, whole numbers are those of labels or instances, or probabilities in 8
bits, fractions are probabilities.
"""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import tifffile
from nibabel.nifti1 import Nifti1Extension, Nifti1Extensions
from PIL import Image

from pipeline.data.readers import is_flat_dicom, slice_view
from pipeline.data.resample import nearest_voxels
from pipeline.data.suffixes import NIFTI, PNG_LIKE, TIFF, suffix_of
from pipeline.data.tiff import centimetres, read_tiff
from pipeline.data.volumes import read_volume
from pipeline.inference.eight_bits import WHITE

MAX_SHEAR = 1e-4
"""Largest cosine of the angle of two axes that count as orthogonal."""
UNITS = {8: 1 / WHITE, 32: 1.0}
"""The probability that the number 1 stands for, by the bits of what is written."""


def in_16_bits(instances: np.ndarray, source: Path) -> np.ndarray:
    """Return the numbers of instances as uint16.

    Raises:
        ValueError: there are more than 16 bits can number.
    """
    most = np.iinfo(np.uint16).max
    if instances.max(initial=0) > most:
        raise ValueError(f"{source}: more than {most} instances, which 16 bits cannot number")
    return instances.astype(np.uint16)


def in_bits(probability: np.ndarray, bits: int) -> np.ndarray:
    """Return probabilities as they are written in 8 bits, of which 255 is 1, or in 32.

    Example:
        >>> in_bits(np.array([0.0, 0.5, 1.0]), 8).tolist()
        [0, 128, 255]
    """
    if bits == 8:
        return np.rint(probability * WHITE).astype(np.uint8)
    return probability.astype(np.float32, copy=False)


def save_pages(
    path: Path,
    pages: np.ndarray,
    source: Path,
    unit: float = 1.0,
    extension: Nifti1Extension | None = None,
) -> None:
    """Save ``(pages, rows, columns)`` of one file in the manner of ``source``.

    The slices of a volume are saved in the order of its voxels, at its place.

    Args:
        path: where to save.
        pages: of one file.
        source: the image's file.
        unit: what the number 1 stands for, which NIfTI states.
        extension: of the header, where it is NIfTI's; None: that of the source.
    """
    suffix = "" if source.is_dir() else suffix_of(source)
    if suffix in TIFF:
        if pages.dtype == bool:
            pages = pages * np.uint8(255)
        content = pages if len(pages) > 1 else pages[0]
        sizes = _pixel_size(source, "ZYX" if len(pages) > 1 else "YX")
        tifffile.imwrite(path, content, photometric="minisblack", **sizes)
        return
    if suffix in PNG_LIKE or is_flat_dicom(source):
        _save_png(path, pages[0])
        return
    voxels, volume = slice_view(source).voxels(pages), read_volume(source)
    if suffix in NIFTI:
        like = nib.load(source)
        array = voxels.reshape(like.shape[:3])
        _save_nifti(path, array, like.affine, like.header, unit, extension)
    else:
        save_volume(path, voxels, volume.affine, volume.in_mm, unit, extension)


def _save_png(path: Path, page: np.ndarray) -> None:
    if page.dtype == bool:
        page = page * np.uint8(255)
    if np.issubdtype(page.dtype, np.floating):
        page = (page * 65535 + 0.5).astype(np.uint16)
    Image.fromarray(page).save(path)


def _pixel_size(source: Path, axes: str) -> dict[str, Any]:
    """Return the pixel size of a TIFF, as OME or plain TIFF tells it."""
    spacing = dict(zip("ZYX", read_tiff(source).spacing, strict=True))
    sizes = {axis: spacing[axis] for axis in axes if not np.isnan(spacing[axis])}
    if ".ome" in suffix_of(source):
        micrometres = {f"PhysicalSize{axis}": 1e3 * length for axis, length in sizes.items()}
        return {"metadata": {"axes": axes, **micrometres}}
    if not {"X", "Y"} <= sizes.keys():
        return {}
    return centimetres((sizes["Y"], sizes["X"]))


def save_volume(
    path: Path,
    volume: np.ndarray,
    affine: np.ndarray,
    in_mm: bool = True,
    unit: float = 1.0,
    extension: Nifti1Extension | None = None,
) -> None:
    """Save ``(X, Y, Z)`` as NIfTI; of no unit of length where the source states none."""
    header = nib.Nifti1Header()
    header.set_xyzt_units("mm" if in_mm else "unknown")
    _save_nifti(path, volume, affine, header, unit, extension)


def is_sheared(affine: np.ndarray) -> bool:
    """Return whether the axes of a volume are not orthogonal, as by a tilted gantry.

    Example:
        >>> is_sheared(np.diag([1.0, 2, 3, 1])), is_sheared(np.eye(4) + 0.2 * np.eye(4, k=2))
        (False, True)
    """
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() > MAX_SHEAR)


def orthogonal_name(name: str) -> str:
    """Return the name of the mask on an orthogonal grid beside ``name``.

    Example:
        >>> orthogonal_name("scan.nii.gz")
        'scan_orthogonal.nii.gz'
    """
    return f"{name.removesuffix('.nii.gz')}_orthogonal.nii.gz"


def save_orthogonal(
    path: Path,
    mask: np.ndarray,
    affine: np.ndarray,
    extension: Nifti1Extension | None = None,
) -> None:
    """Save a mask ``(X, Y, Z)`` on the orthogonal grid that holds the whole sheared volume.

    The first axis and the normal of the slices are kept, and the distances of the voxels along
    them. Each voxel has the label of the nearest one; outside the volume it is 0.
    """
    grid, shape = orthogonal_grid(mask.shape, affine)
    labels = mask.astype(np.uint8) if mask.dtype == bool else mask
    resampled = nearest_voxels(labels, affine, grid, shape)
    save_volume(path, resampled, grid, extension=extension)


def orthogonal_grid(
    shape: tuple[int, ...], affine: np.ndarray
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return the affine and the shape of the orthogonal grid that holds a sheared volume."""
    directions, upper = np.linalg.qr(affine[:3, :3])
    signs = np.where(np.diag(upper) < 0, -1.0, 1.0)
    axes = directions * signs * np.abs(np.diag(upper))
    corners = np.array(np.meshgrid(*[(0, side - 1) for side in shape], [1])).reshape(4, -1)
    places = np.linalg.solve(axes, (affine @ corners)[:3])
    first = places.min(axis=1)
    grid = np.eye(4)
    grid[:3, :3], grid[:3, 3] = axes, axes @ first
    # rounding must not add a plane to an axis that the shear leaves alone
    counts = np.ceil(places.max(axis=1) - first - 1e-3) + 1
    return grid, tuple(int(count) for count in counts)


def _save_nifti(
    path: Path,
    volume: np.ndarray,
    affine: np.ndarray,
    header: nib.Nifti1Header,
    unit: float,
    extension: Nifti1Extension | None,
) -> None:
    dtype = np.uint8 if volume.dtype == bool else volume.dtype
    header = header.copy()
    if extension is not None:
        header.extensions = Nifti1Extensions([extension])
    header.set_data_dtype(dtype)
    image = nib.Nifti1Image(volume.astype(dtype, copy=False), affine, header)
    if unit != 1:  # nibabel forgets the slope of a header that it is given
        image.header.set_slope_inter(unit, 0)
    nib.save(image, path)
