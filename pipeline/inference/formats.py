"""Saving probabilities, masks and instances in the format of the image they belong to.

Boolean arrays are masks, whole numbers are instances, fractions are probabilities.
"""

from pathlib import Path

import nibabel as nib
import numpy as np
import tifffile
from PIL import Image
from scipy.ndimage import affine_transform

from pipeline.data.suffixes import NIFTI, TIFF, suffix_of

MAX_SHEAR = 1e-4
"""Largest cosine of the angle of two axes that count as orthogonal."""


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


def save_orthogonal(path: Path, mask: np.ndarray, affine: np.ndarray) -> None:
    """Save a mask ``(X, Y, Z)`` on the orthogonal grid that holds the whole sheared volume.

    The first axis and the normal of the slices are kept, and the distances of the voxels along
    them. Each voxel has the label of the nearest one; outside the volume it is 0.
    """
    grid, shape = orthogonal_grid(mask.shape, affine)
    to_source = np.linalg.inv(affine) @ grid
    labels = mask.astype(np.uint8) if mask.dtype == bool else mask
    resampled = affine_transform(
        labels,
        to_source[:3, :3],
        to_source[:3, 3],
        output_shape=shape,
        order=0,
        mode="grid-constant",
    )
    save_volume(path, resampled, grid)


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
    path: Path, volume: np.ndarray, affine: np.ndarray, header: nib.Nifti1Header
) -> None:
    dtype = np.uint8 if volume.dtype == bool else volume.dtype
    header = header.copy()
    header.set_data_dtype(dtype)
    nib.save(nib.Nifti1Image(volume.astype(dtype), affine, header), path)
