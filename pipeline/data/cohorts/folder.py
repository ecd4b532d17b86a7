"""Any images and masks, paired by the pattern of their names."""

import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from pipeline.data.cohort import Cohort, Columns, SourceCase
from pipeline.data.cohorts.pairs import images_in, pair_by_name, stem_of
from pipeline.data.cohorts.tables import read_table
from pipeline.data.image_statistics import read_pixels
from pipeline.data.readers import DICOM, suffix_of
from pipeline.data.volumes import read_volume


def folder(
    images: Path,
    masks: Path,
    pattern: str = "{name}",
    patient: str | None = None,
    groups: Path | None = None,
    instances: bool = False,
) -> Cohort:
    """List the images of a folder with their masks; they are copied as they are.

    A DICOM series, a folder, becomes NIfTI; so do a single DICOM file, of which only pixels and
    geometry are kept, and MHD, whose voxels lie in a second file. Of all other files whatever
    stands in them goes along (PNG text, EXIF, NIfTI descriptions): take names of persons out first.

    Args:
        images: their folder.
        masks: the folder of the masks.
        pattern: of a mask's name without suffix, ``{name}`` for the image's.
        patient: regular expression on an image's name, whose first group is the patient; by
            default each image is a patient of its own.
        groups: CSV table with a column ``image`` (names with or without suffix); its other columns
            become group columns.
        instances: the masks hold a number for each instance; they are copied to ``instances/``, and
            the mask of what is not 0 is made beside them.

    Raises:
        FileNotFoundError: no such folder, no image, or an image without a mask.
        ValueError: the expression finds no patient in a name, or the table lacks an image.
    """
    found = images_in(images)
    if images.resolve() == masks.resolve():
        marks = {stem_of(path) for path in found}
        found = [path for path in found if pattern.replace("{name}", stem_of(path)) in marks]
    pairs = pair_by_name(found, masks, pattern)
    known = _groups(groups) if groups else {}
    cases = []
    for image, mask in pairs:
        name = stem_of(image)
        if known and name not in known:
            raise ValueError(f"{groups}: no row for {image.name}; add one, or remove the image")
        columns = {"patient": _patient(name, patient), **known.get(name, {})}
        cases.append(_case(image, mask, columns, instances))
    return Cohort(images.resolve().name, cases, "patient")


def _patient(name: str, expression: str | None) -> str:
    if expression is None:
        return name
    try:
        found = re.search(expression, name)
    except re.error as error:
        raise ValueError(f"--patient {expression}: not a regular expression ({error})") from None
    if not found or not found.groups():
        raise ValueError(
            f"--patient {expression}: finds no patient in '{name}'; expected an expression with a "
            r"group, as in '^([^_]+)_'"
        )
    return found[1]


def _groups(path: Path) -> dict[str, Columns]:
    return {
        stem_of(Path(row["image"])): {
            key: _value(value) for key, value in row.items() if key != "image"
        }
        for row in read_table(path, ["image"])
    }


def _value(text: str) -> str | float | None:
    """A number where it is one; missing where nothing or a question mark stands."""
    stripped = text.strip()
    if stripped.lower() in ("", "?", "na", "nan"):
        return None
    try:
        return float(stripped) if "." in stripped else int(stripped)
    except ValueError:
        return stripped


def _case(image: Path, mask: Path, columns: Columns, instances: bool) -> SourceCase:
    name = stem_of(image)
    numbered = "instances" if instances else "label"
    files = {
        "image": f"images/{name}{_written_suffix(image)}",
        numbered: f"{numbered if instances else 'labels'}/{name}{_written_suffix(mask)}",
    }
    if instances:
        files["label"] = f"labels/{name}{'.nii.gz' if _is_volume(mask) else '.png'}"
    convert = partial(_convert, image, mask, numbered)
    return SourceCase(name, (image, mask), files, columns, convert)


def _to_nifti(path: Path) -> bool:
    return path.is_dir() or suffix_of(path) in (*DICOM, ".mhd")


def _written_suffix(path: Path) -> str:
    return ".nii.gz" if _to_nifti(path) else suffix_of(path)


def _is_volume(path: Path) -> bool:
    return read_pixels(path).affine is not None


def _convert(image: Path, mask: Path, numbered: str) -> tuple[dict[str, Any], Columns]:
    arrays: dict[str, Any] = {
        key: partial(_as_nifti if _to_nifti(path) else shutil.copyfile, path)
        for key, path in (("image", image), (numbered, mask))
    }
    if numbered == "instances":
        pixels = read_pixels(mask)
        inside = np.uint8(255) * (pixels.array > 0)
        arrays["label"] = (
            inside if pixels.affine is None else partial(_save_mask, inside // 255, pixels.affine)
        )
    return arrays, {}


def _save_mask(mask: NDArray[np.uint8], affine: NDArray[np.float64], target: Path) -> None:
    nib.save(nib.Nifti1Image(mask, affine), target)


def _as_nifti(source: Path, target: Path) -> None:
    volume = read_volume(source)
    array = volume.array if volume.array.dtype != bool else volume.array.astype(np.uint8)
    nib.save(nib.Nifti1Image(array, volume.affine), target)
