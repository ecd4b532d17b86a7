"""Label maps as files that viewers read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.data.dicom import LPS_TO_RAS
from transforms.places import Grid

EXTENSIONS = (".nii.gz", ".nii", ".nrrd", ".mha")
"""Formats in which a label map is sent."""


def check_extension(extension: str) -> None:
    """Refuse a format that is not written.

    Example:
        >>> check_extension(".seg.nrrd")
        Traceback (most recent call last):
        ValueError: result_extension: found '.seg.nrrd', expected one of .nii.gz ...
    """
    if extension not in EXTENSIONS:
        raise ValueError(
            f"result_extension: found {extension!r}, expected one of {' '.join(EXTENSIONS)}; set "
            "it in the settings of the viewer"
        )


def write_label_map(
    path: Path, voxels: NDArray[Any], grid: Grid, wide: bool, compress: bool
) -> None:
    """Write a label map.

    Args:
        path: with one of the extensions.
        voxels: numbers of the labels, ``(X, Y, Z)``.
        grid: where they lie.
        wide: whether each takes 16 bits, though 8 suffice.
        compress: whether NRRD and MHA are compressed.
    """
    narrow = np.min_scalar_type(int(voxels.max(initial=0)))
    numbers = np.ascontiguousarray(voxels.astype(np.uint16 if wide else narrow))
    if path.name.endswith((".nii", ".nii.gz")):
        header = nib.Nifti1Header()
        header.set_xyzt_units("mm")
        nib.save(nib.Nifti1Image(numbers, grid.affine, header), path)
        return
    image = sitk.GetImageFromArray(numbers.T)
    to_left_and_back = LPS_TO_RAS @ grid.affine
    spacing = np.linalg.norm(to_left_and_back[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(to_left_and_back[:3, 3].tolist())
    image.SetDirection((to_left_and_back[:3, :3] / spacing).ravel().tolist())
    sitk.WriteImage(image, str(path), useCompression=compress)


def numbers_present(voxels: NDArray[Any], numbers: Mapping[str, int]) -> dict[str, int]:
    """Return the labels that a label map holds, by their numbers.

    A viewer names the numbers of a map in this order, so that an absent label must not be in it.

    Example:
        >>> numbers_present(np.array([0, 5]), {"tumour": 5, "liver": 3})
        {'tumour': 5}
    """
    present = set(np.unique(voxels).tolist())
    by_number = sorted(numbers.items(), key=lambda item: item[1])
    return {name: number for name, number in by_number if number in present}


def centroids(voxels: NDArray[Any], numbers: Mapping[str, int]) -> dict[str, list[int]]:
    """Return number and centre of each label, in voxels, as OHIF's plug-in reads them.

    Example:
        >>> centroids(np.array([[[0, 7, 7, 7]]]), {"lung": 7})
        {'lung': [7, 0, 0, 2]}
    """
    if not numbers:
        return {}
    centres = ndimage.center_of_mass(voxels > 0, voxels, list(numbers.values()))
    return {
        name: [number, *(round(float(place)) for place in centre)]
        for (name, number), centre in zip(numbers.items(), centres, strict=True)
    }
