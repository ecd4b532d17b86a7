"""Lungs in CT slices: ``images`` and ``masks`` with the same names, TIFF or NIfTI.

The folders of the published set are read too: ``2d_images`` with ``2d_masks``, and ``3d_images``,
where ``IMG_0001.nii.gz`` belongs to ``MASK_0001.nii.gz``. The patient is the part of a slice's name
before ``_Z_``, or the volume. A volume and its mask are turned to DICOM's axes, each by its own
affine. CT values become 8 bits by a lung window of width 1500 and level -600 (chosen here: the
paper names none); images of 8 bits stay unchanged.
"""

from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.cohort import Cohort, Columns, SourceCase
from pipeline.data.cohorts.pairs import Pair, list_images, pair_by_name
from pipeline.data.cohorts.pixels import resize, resize_mask, to_8_bits
from pipeline.data.readers import read_page
from pipeline.data.suffixes import NIFTI, stem_of, suffix_of
from pipeline.data.volumes import read_volume, to_dicom_axes

WINDOW_WIDTH_HU, WINDOW_LEVEL_HU = 1500, -600
SIDE_PX = 256
LAYOUTS = (("images", "masks"), ("2d_images", "2d_masks"), ("3d_images", "3d_masks"))


def lung_ct(source: Path) -> Cohort:
    """List the slices.

    Args:
        source: folder of the data set.

    Raises:
        FileNotFoundError: no folder of images, or an image without its mask.
        ValueError: image and mask of different sizes.
    """
    pairs = _pairs(source)
    cases = [case for pair in pairs for case in _cases(*pair)]
    return Cohort("lung_ct", cases, "patient")


def _pairs(source: Path) -> list[Pair]:
    for images, masks in LAYOUTS:
        if not (source / images).is_dir():
            continue
        paths = list_images(source / images)
        numbered = [path for path in paths if path.name.startswith("IMG_")]
        if numbered:
            folder = source / masks if (source / masks).is_dir() else source / images
            return [(path, _numbered_mask(path, folder)) for path in numbered]
        return pair_by_name(paths, source / masks)
    expected = " or ".join(images for images, _ in LAYOUTS)
    raise FileNotFoundError(
        f"{source}: no folder {expected}; give --source the folder of the data set"
    )


def _numbered_mask(image: Path, folder: Path) -> Path:
    mask = folder / image.name.replace("IMG_", "MASK_")
    if not mask.is_file():
        raise FileNotFoundError(f"{mask}: no mask for {image.name}; add it or remove the image")
    return mask


def _cases(image: Path, mask: Path) -> list[SourceCase]:
    name = stem_of(image)
    if suffix_of(image) not in NIFTI:
        patient = name.split("_Z_")[0]
        return [_case(name, (image, mask), patient, partial(_convert_files, image, mask))]
    return [
        _case(f"{name}_{z:04d}", (image, mask), name, partial(_convert_plane, image, mask, z))
        for z in range(_volume(image).shape[2])
    ]


@lru_cache(maxsize=4)  # the slices of a volume are converted one after the other
def _volume(path: Path) -> NDArray[Any]:
    return to_dicom_axes(read_volume(path))


def _convert_plane(image: Path, mask: Path, z: int) -> tuple[dict[str, Any], Columns]:
    pixels, label = _volume(image), _volume(mask)
    if pixels.shape != label.shape:
        raise ValueError(f"{mask}: {label.shape} voxels; expected {pixels.shape} as its image has")
    return _arrays(pixels[..., z].T, label[..., z].T, mask)


def _convert_files(image: Path, mask: Path) -> tuple[dict[str, Any], Columns]:
    return _arrays(read_page(image).array, read_page(mask, label=True).array, mask)


def _arrays(
    pixels: NDArray[Any], label: NDArray[Any], path: Path
) -> tuple[dict[str, Any], Columns]:
    if pixels.shape != label.shape:
        raise ValueError(f"{path}: {label.shape} pixels; expected {pixels.shape} as its image has")
    values = set(np.unique(label).tolist())
    if not values <= {0, 1} and not values <= {0, 255}:
        raise ValueError(
            f"{path}: a mask with {len(values)} values; expected 0 and 1, or 0 and 255"
        )
    grey = (
        pixels if pixels.dtype == np.uint8 else to_8_bits(pixels, WINDOW_WIDTH_HU, WINDOW_LEVEL_HU)
    )
    return {"image": resize(grey, SIDE_PX), "label": resize_mask(label > 0, SIDE_PX)}, {}


def _case(name: str, sources: tuple[Path, ...], patient: str, convert: Any) -> SourceCase:
    files = {"image": f"images/{name}.png", "label": f"labels/{name}.png"}
    return SourceCase(name, sources, files, {"patient": patient}, convert)
