"""Any images and masks, paired by a pattern of their names."""

import re
import secrets
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from pipeline.data.cohort import Cohort, Columns, SourceCase
from pipeline.data.cohorts.dicom_cases import (
    check_modality,
    flat_suffix,
    patient_columns,
    write_flat,
)
from pipeline.data.cohorts.pairs import image_sources, pair_sources
from pipeline.data.cohorts.tables import read_table
from pipeline.data.dicom_header import is_dicom
from pipeline.data.readers import is_flat_dicom, read_pixels
from pipeline.data.series import is_series
from pipeline.data.sources import Source
from pipeline.data.suffixes import stem_of, suffix_of
from pipeline.data.volumes import read_volume
from transforms.whole_numbers import whole_numbers


def folder(
    images: Path,
    masks: Path,
    pattern: str = "{name}",
    patient: str | None = None,
    groups: Path | None = None,
    instances: bool = False,
    series: str | None = None,
    modality: str | None = None,
    salt: str | None = None,
) -> Cohort:
    """List the images of a folder with their masks; the files are copied unchanged.

    Of DICOM only pixels and geometry are kept: a series, and a file of several frames, become
    NIfTI, a flat image becomes PNG, or TIFF where its values are signed or fractions. MHD, whose
    voxels are in a second file, becomes NIfTI. All other files keep their metadata (PNG text,
    EXIF, NIfTI descriptions): remove names of persons first.

    Args:
        images: folder of the images.
        masks: folder of the masks.
        pattern: name of a mask without suffix, with ``{name}`` for the name of its image.
        patient: regular expression on an image's name, whose first group is the patient; by
            default each image is a patient, and of DICOM the patient is a pseudonym, see
            :func:`pipeline.data.series.pseudonym`.
        groups: CSV table with a column ``image`` (names with or without suffix); its other columns
            become group columns.
        instances: whether the masks hold a number for each instance; they are then copied to
            ``instances/``, and ``labels/`` gets masks of all values that are not 0.
        series: which DICOM series to take, as ``Modality=MR,SeriesDescription~T1``.
        modality: modality of images whose files do not say it.
        salt: of the pseudonyms; ``None``: a new one.

    Raises:
        FileNotFoundError: no such folder, no image, or an image without a mask.
        ValueError: the expression matches no patient in a name, the table has no row for an
            image, no series is selected, or two images are of different modalities.
    """
    salt = salt or secrets.token_hex(16)
    sources, remarks = image_sources(images, series, salt, exclude=[masks])
    if images.resolve() == masks.resolve():
        names = {source.name for source in sources}
        sources = [one for one in sources if pattern.replace("{name}", one.name) in names]
    pairs = pair_sources(sources, masks, pattern)
    listed = [source for source, _ in pairs]
    patients, patient_remarks = _patients(listed, patient)
    rows = _read_groups(groups) if groups else {}
    cases = []
    for source, mask in pairs:
        if rows and source.name not in rows:
            raise ValueError(
                f"{groups}: no row for {source.file_name}; add one, or remove the image"
            )
        columns = {"patient": patients[source.name], **rows.get(source.name, {})}
        cases.append(_case(source, mask, columns, instances))
    return Cohort(
        images.resolve().name,
        cases,
        "patient",
        remarks=(*remarks, *patient_remarks),
        salt=salt if any(source.series for source in listed) and patient is None else "",
        modality=check_modality(listed, modality),
    )


def _patients(
    sources: Sequence[Source], expression: str | None
) -> tuple[dict[str, str], list[str]]:
    """Return the patient of each image by its name, and remarks."""
    if expression is None:
        return patient_columns(sources)
    return {source.name: _patient(source.name, expression) for source in sources}, []


def _patient(name: str, expression: str) -> str:
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


def _case(source: Source, mask: Path, columns: Columns, instances: bool) -> SourceCase:
    name, image = source.name, source.path
    mask_key = "instances" if instances else "label"
    files = {
        "image": f"images/{name}{_written_suffix(image)}",
        mask_key: f"{mask_key if instances else 'labels'}/{name}{_written_suffix(mask, True)}",
    }
    if instances:
        files["label"] = f"labels/{name}{'.nii.gz' if _is_volume(mask) else '.png'}"
    convert = partial(_convert, image, mask, mask_key)
    return SourceCase(name, (image, mask), files, columns, convert)


def _becomes_nifti(path: Path) -> bool:
    return is_series(path) or is_dicom(path) or suffix_of(path) == ".mhd"


def _written_suffix(path: Path, label: bool = False) -> str:
    if is_flat_dicom(path):
        return flat_suffix(path, label)
    return ".nii.gz" if _becomes_nifti(path) else suffix_of(path)


def _is_volume(path: Path) -> bool:
    return read_pixels(path, label=True).affine is not None


def _convert(image: Path, mask: Path, mask_key: str) -> tuple[dict[str, Any], Columns]:
    arrays: dict[str, Any] = {"image": _writer(image, False), mask_key: _writer(mask, True)}
    if mask_key == "instances":
        pixels = read_pixels(mask, label=True)
        inside = np.uint8(255) * (whole_numbers(pixels.array) > 0)
        arrays["label"] = (
            inside if pixels.affine is None else partial(_save_mask, inside // 255, pixels.affine)
        )
    return arrays, {}


def _writer(path: Path, label: bool) -> Callable[[Path], object]:
    if is_flat_dicom(path):
        return partial(write_flat, path, label=label)
    if _becomes_nifti(path):
        return partial(_write_nifti, path, label=label)
    return partial(shutil.copyfile, path)


def _save_mask(mask: NDArray[np.uint8], affine: NDArray[np.float64], target: Path) -> None:
    nib.save(nib.Nifti1Image(mask, affine), target)


def _write_nifti(source: Path, target: Path, label: bool) -> None:
    volume = read_volume(source, label)
    array = volume.array if volume.array.dtype != bool else volume.array.astype(np.uint8)
    nib.save(nib.Nifti1Image(array, volume.affine), target)
