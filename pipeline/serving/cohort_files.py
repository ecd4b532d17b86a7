"""Images and labels as the files of a cohort."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.data.cohorts.channel_files import channels_suffix, write_channels
from pipeline.data.cohorts.dicom_cases import flat_suffix, write_flat
from pipeline.data.identity import hash_pixels
from pipeline.data.label_numbers import LabelNumbers
from pipeline.data.readers import channel_paths, is_flat_dicom
from pipeline.data.series import is_series
from pipeline.data.suffixes import PNG_LIKE, TIFF, stem_of, suffix_of
from pipeline.data.volumes import read_volume
from pipeline.files import atomic
from pipeline.inference.formats import save_volume
from pipeline.inference.label_masks import is_plain
from pipeline.serving.images import ServedImage
from transforms.places import Grid


def copied_image(image: ServedImage, folder: Path) -> Path | None:
    """Copy an image into a cohort, unless it is there; DICOM becomes NIfTI, PNG or TIFF.

    Returns:
        Its path; None: a volume that the bundle segments slice by slice.

    Raises:
        ValueError: another image has its name in the cohort.
        OSError: it cannot be written.
    """
    if len(image.case.entries) > 1:
        return None
    present = next((path for path in folder.glob("*") if stem_of(path) == image.file_name), None)
    if present is not None:
        _check_same(image, present)
        return present
    target = folder / f"{image.file_name}{_suffix(image)}"
    with atomic(target, durable=True) as temporary:
        _write(image, temporary)
    return target


def save_label(
    stem: Path, numbers: NDArray[Any], grid: Grid, labels: LabelNumbers, image: Path | None
) -> Path:
    """Save the label of an image as a cohort has it, and return its path.

    Args:
        stem: its path without suffix.
        numbers: of the labels, ``(X, Y, Z)``.
        grid: of the image.
        labels: number or numbers of each label; a single label 1 is a mask.
        image: in the cohort; of a flat one the label is PNG, else NIfTI.

    Raises:
        OSError: it cannot be written.
    """
    if image is not None and suffix_of(image) in (*PNG_LIKE, *TIFF):
        path = stem.with_name(f"{stem.name}.png")
        save_png(path, numbers[:, :, 0].T, labels)
        return path
    path = stem.with_name(f"{stem.name}.nii.gz")
    mask = numbers > 0 if is_plain(labels) else numbers
    with atomic(path, durable=True) as temporary:
        save_volume(temporary, mask, grid.affine)
    return path


def save_png(path: Path, numbers: NDArray[Any], labels: LabelNumbers) -> None:
    """Save the label of a flat image: its numbers, or a mask of 0 and 255.

    Raises:
        OSError: it cannot be written.
    """
    shown = (numbers > 0) * np.uint8(255) if is_plain(labels) else numbers
    with atomic(path, durable=True) as temporary:
        Image.fromarray(np.ascontiguousarray(shown)).save(temporary)


def _check_same(image: ServedImage, present: Path) -> None:
    """Refuse to label the image of the cohort with the label of another one of its name."""
    if image.path == present.resolve():
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / f"copy{_suffix(image)}"
        _write(image, copy)
        if hash_pixels(copy).values != hash_pixels(present).values:
            raise ValueError(
                f"{image.id}: the cohort has another image of this name, {present}; rename one, "
                "or give another --data"
            )


def _suffix(image: ServedImage) -> str:
    if image.channels:
        return channels_suffix(image.path)
    if _is_volume_of_dicom(image):
        return ".nii.gz"
    if image.header is not None:
        return flat_suffix(image.path, label=False)
    return suffix_of(image.path)


def _write(image: ServedImage, target: Path) -> None:
    if image.channels:
        write_channels(channel_paths(image.case.entries[0]["image"]), image.channels, target)
    elif _is_volume_of_dicom(image):
        volume = read_volume(image.path)
        nib.save(nib.Nifti1Image(volume.array, volume.affine), target)
    elif image.header is not None:
        write_flat(image.path, target, label=False)
    else:
        shutil.copyfile(image.path, target)


def _is_volume_of_dicom(image: ServedImage) -> bool:
    return is_series(image.path) or (image.header is not None and not is_flat_dicom(image.path))
