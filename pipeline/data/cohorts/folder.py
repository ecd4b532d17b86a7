"""Any images and masks, paired by a pattern of their names."""

import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from pipeline.data.cohort import Cohort, Columns, SourceCase
from pipeline.data.cohorts.pairs import list_images, pair_by_name
from pipeline.data.cohorts.tables import read_table
from pipeline.data.readers import read_pixels
from pipeline.data.suffixes import DICOM, stem_of, suffix_of
from pipeline.data.volumes import read_volume
from transforms.whole_numbers import whole_numbers


def folder(
    images: Path,
    masks: Path,
    pattern: str = "{name}",
    patient: str | None = None,
    groups: Path | None = None,
    instances: bool = False,
) -> Cohort:
    """List the images of a folder with their masks; the files are copied unchanged.

    These become NIfTI: a DICOM series (a folder); a single DICOM file, of which only pixels and
    geometry are kept; and MHD, whose voxels are in a second file. All other files keep their
    metadata (PNG text, EXIF, NIfTI descriptions): remove names of persons first.

    Args:
        images: folder of the images.
        masks: folder of the masks.
        pattern: name of a mask without suffix, with ``{name}`` for the name of its image.
        patient: regular expression on an image's name, whose first group is the patient; by
            default each image is a patient.
        groups: CSV table with a column ``image`` (names with or without suffix); its other columns
            become group columns.
        instances: whether the masks hold a number for each instance; they are then copied to
            ``instances/``, and ``labels/`` gets masks of all values that are not 0.

    Raises:
        FileNotFoundError: no such folder, no image, or an image without a mask.
        ValueError: the expression matches no patient in a name, or the table has no row for an
            image.
    """
    paths = list_images(images)
    if images.resolve() == masks.resolve():
        stems = {stem_of(path) for path in paths}
        paths = [path for path in paths if pattern.replace("{name}", stem_of(path)) in stems]
    pairs = pair_by_name(paths, masks, pattern)
    rows = _read_groups(groups) if groups else {}
    cases = []
    for image, mask in pairs:
        name = stem_of(image)
        if rows and name not in rows:
            raise ValueError(f"{groups}: no row for {image.name}; add one, or remove the image")
        columns = {"patient": _patient(name, patient), **rows.get(name, {})}
        cases.append(_case(image, mask, columns, instances))
    return Cohort(images.resolve().name, cases, "patient")


def _patient(name: str, expression: str | None) -> str:
    if expression is None:
        return name
    try:
        match = re.search(expression, name)
    except re.error as error:
        raise ValueError(f"--patient {expression}: not a regular expression ({error})") from None
    if not match or not match.groups():
        raise ValueError(
            f"--patient {expression}: matches no patient in '{name}'; expected an expression "
            r"with a group, as in '^([^_]+)_'"
        )
    return match[1]


def _read_groups(path: Path) -> dict[str, Columns]:
    return {
        stem_of(Path(row["image"])): {
            key: _parse(value) for key, value in row.items() if key != "image"
        }
        for row in read_table(path, ["image"])
    }


def _parse(text: str) -> str | float | None:
    """Return a number if the text is one, and None if it is empty, ``?``, ``na`` or ``nan``."""
    stripped = text.strip()
    if stripped.lower() in ("", "?", "na", "nan"):
        return None
    try:
        return float(stripped) if "." in stripped else int(stripped)
    except ValueError:
        return stripped


def _case(image: Path, mask: Path, columns: Columns, instances: bool) -> SourceCase:
    name = stem_of(image)
    mask_key = "instances" if instances else "label"
    files = {
        "image": f"images/{name}{_written_suffix(image)}",
        mask_key: f"{mask_key if instances else 'labels'}/{name}{_written_suffix(mask)}",
    }
    if instances:
        files["label"] = f"labels/{name}{'.nii.gz' if _is_volume(mask) else '.png'}"
    convert = partial(_convert, image, mask, mask_key)
    return SourceCase(name, (image, mask), files, columns, convert)


def _becomes_nifti(path: Path) -> bool:
    return path.is_dir() or suffix_of(path) in (*DICOM, ".mhd")


def _written_suffix(path: Path) -> str:
    return ".nii.gz" if _becomes_nifti(path) else suffix_of(path)


def _is_volume(path: Path) -> bool:
    return read_pixels(path, label=True).affine is not None


def _convert(image: Path, mask: Path, mask_key: str) -> tuple[dict[str, Any], Columns]:
    arrays: dict[str, Any] = {
        key: partial(_write_nifti if _becomes_nifti(path) else shutil.copyfile, path)
        for key, path in (("image", image), (mask_key, mask))
    }
    if mask_key == "instances":
        pixels = read_pixels(mask, label=True)
        inside = np.uint8(255) * (whole_numbers(pixels.array) > 0)
        arrays["label"] = (
            inside if pixels.affine is None else partial(_save_mask, inside // 255, pixels.affine)
        )
    return arrays, {}


def _save_mask(mask: NDArray[np.uint8], affine: NDArray[np.float64], target: Path) -> None:
    nib.save(nib.Nifti1Image(mask, affine), target)


def _write_nifti(source: Path, target: Path) -> None:
    volume = read_volume(source)
    array = volume.array if volume.array.dtype != bool else volume.array.astype(np.uint8)
    nib.save(nib.Nifti1Image(array, volume.affine), target)
