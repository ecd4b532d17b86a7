"""Any images and masks, paired by a pattern of their names."""

import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from pipeline.data.cohort import Cohort, Columns, SourceCase
from pipeline.data.cohorts.channel_files import channels_suffix, format_line, write_channels
from pipeline.data.cohorts.dicom_cases import check_modality, flat_suffix, write_flat
from pipeline.data.cohorts.dicom_masks import label_files
from pipeline.data.cohorts.listing import FolderCase, list_cases, list_labelled, mask_folder
from pipeline.data.cohorts.pairs import image_sources
from pipeline.data.cohorts.patients import patients_of_sources
from pipeline.data.cohorts.tables import read_table
from pipeline.data.dicom_header import is_dicom
from pipeline.data.dicom_labels.mask import DicomMask
from pipeline.data.dicom_labels.rule import LabelRule
from pipeline.data.label_numbers import LabelNumbers
from pipeline.data.readers import is_flat_dicom, read_pixels
from pipeline.data.series import is_series
from pipeline.data.suffixes import stem_of, suffix_of
from pipeline.data.volumes import read_volume
from transforms.whole_numbers import whole_numbers

Write = Callable[[Path], object]
"""Writes an image to a path."""


def folder(
    images: Path,
    masks: Path | None = None,
    pattern: str | None = None,
    patient: str | None = None,
    groups: Path | None = None,
    instances: bool = False,
    series: str | None = None,
    modality: str | None = None,
    salt: str | None = None,
    channels: Mapping[str, str] | None = None,
    rule: LabelRule | None = None,
) -> Cohort:
    """List the images of a folder with their masks; the files are copied unchanged.

    Of DICOM only pixels and geometry are kept: a series, and a file of several frames, become
    NIfTI, a flat image becomes PNG, or TIFF where its values are signed or fractions. MHD, whose
    voxels are in a second file, becomes NIfTI. All other files keep their metadata (PNG text,
    EXIF, NIfTI descriptions): remove names of persons first.

    DICOM files of labels (SEG, RTSTRUCT) in the folder of the masks are the masks of the series
    that they refer to; they become masks of numbers on the grid of their series.

    Args:
        images: folder of the images.
        masks: folder of the masks; None: the folder ``masks`` or ``labels`` in that of the images,
            or that of the images itself.
        pattern: name of a mask without suffix, with ``{name}`` for the name of its image, or
            ``IMAGE:MASK``, as ``{name}_img:{name}_mask``; None: guessed from usual names.
        patient: regular expression on an image's name, whose first group is the patient; ``none``:
            each image is a patient of its own; None: of DICOM the patient is a pseudonym, see
            :func:`pipeline.data.series.pseudonym`, of other images it is not known.
        groups: CSV table with a column ``image`` (names with or without suffix); its other columns
            become group columns.
        instances: whether the masks hold a number for each instance; they are then copied to
            ``instances/``, and ``labels/`` gets masks of all values that are not 0.
        series: which DICOM series to take, as ``Modality=MR,SeriesDescription~T1``.
        modality: modality of images whose files do not say it.
        salt: of the pseudonyms; ``None``: a new one.
        channels: ending of the name of each of a case's images, as ``{"T1": "_0000", …}``; they
            become the channels of one file. ``None``: a case has one image.
        rule: number of each structure in DICOM files of labels; ``None``: each that occurs gets
            one.

    Raises:
        FileNotFoundError: no such folder, no image, or images without a mask.
        ValueError: the expression matches no patient in a name, or names look as if there were
            patients and none is given; no usual name fits the masks; a case lacks a channel; the
            table has no row for an image, no series is selected, or two images are of different
            modalities.
    """
    salt = salt or secrets.token_hex(16)
    masks = mask_folder(images) if masks is None else masks
    label_objects = label_files(images, masks, pattern)
    sources, remarks, _ = image_sources(images, series, salt, [masks], bool(label_objects))
    labels: LabelNumbers = {}
    if label_objects:
        _check_no_instances(instances, label_objects[0])
        listed, labels, pair_remarks = list_labelled(
            sources, images, masks, label_objects, channels or {}, rule or LabelRule()
        )
    else:
        listed, pair_remarks = list_cases(sources, images, masks, pattern, channels or {})
    rows = _rows(groups, listed)
    named = _names_patients(rows, groups, patient)
    patients, patient_remarks = (
        ({}, []) if named else patients_of_sources([case.source for case in listed], patient)
    )
    settings = _Settings(instances, tuple(channels or ()), set())
    cases = [
        _case(case, {**_patient_column(case, patients), **rows.get(case.name, {})}, settings)
        for case in listed
    ]
    pseudonyms = patient is None and not named and any(case.source.series for case in listed)
    return Cohort(
        images.resolve().name,
        cases,
        "patient" if patients or named else None,
        remarks=(*remarks, *pair_remarks, *patient_remarks),
        salt=salt if pseudonyms else "",
        modality=_modality(listed, modality),
        channels=settings.channels,
        labels=labels,
    )


def _check_no_instances(instances: bool, labels: Path) -> None:
    if instances:
        raise ValueError(
            f"{labels}: DICOM labels of named structures; expected --kind mask or classes; leave "
            "--kind instances out"
        )


class _Settings(NamedTuple):
    """How cases are written.

    Attributes:
        instances: whether the masks hold a number for each instance.
        channels: names of a case's images; empty: it has one.
        said: what was said of number formats, once for all cases.
    """

    instances: bool
    channels: tuple[str, ...]
    said: set[str]


def _rows(groups: Path | None, cases: Sequence[FolderCase]) -> dict[str, Columns]:
    """Return the group columns of each case by its name; empty without a table."""
    if groups is None:
        return {}
    rows = _read_groups(groups)
    for case in cases:
        if case.name not in rows:
            raise ValueError(
                f"{groups}: no row for {case.source.file_name}; add one, or remove the image"
            )
    return {case.name: rows[case.name] for case in cases}


def _names_patients(rows: Mapping[str, Columns], groups: Path | None, patient: str | None) -> bool:
    """Return whether the table of groups names the patients."""
    named = any("patient" in row for row in rows.values())
    if named and patient is not None:
        raise ValueError(
            f"--patient {patient}: {groups} has a column 'patient', too; give one of the two"
        )
    return named


def _patient_column(case: FolderCase, patients: Mapping[str, str]) -> Columns:
    return {"patient": patients[case.name]} if patients else {}


def _modality(cases: Sequence[FolderCase], given: str | None) -> str:
    """Return the modality of all images; empty where the channels of a case have several."""
    of_channels = zip(*(case.images for case in cases), strict=True)
    first, *others = {check_modality(images, given) for images in of_channels}
    return "" if others else first


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


def _case(case: FolderCase, columns: Columns, settings: _Settings) -> SourceCase:
    name, image, mask = case.name, case.files[0], case.mask
    mask_key = "instances" if settings.instances else "label"
    suffix = channels_suffix(image) if settings.channels else _written_suffix(image)
    files = {
        "image": f"images/{name}{suffix}",
        mask_key: f"{mask_key if settings.instances else 'labels'}/{name}"
        f"{case.dicom.suffix if case.dicom else _written_suffix(mask, True)}",
    }
    if settings.instances:
        files["label"] = f"labels/{name}{'.nii.gz' if _is_volume(mask) else '.png'}"
    write_image = (
        partial(_write_channels, case.files, settings) if settings.channels else _writer(image)
    )
    if case.dicom:
        convert = partial(_convert_labels, write_image, case.dicom)
        return SourceCase(name, (*case.files, mask), files, columns, convert, case.dicom)
    convert = partial(_convert, write_image, mask, mask_key)
    return SourceCase(name, (*case.files, mask), files, columns, convert)


def _convert_labels(write_image: Write, mask: DicomMask) -> tuple[dict[str, Any], Columns]:
    pixels = mask.read()
    label = (
        pixels.array if pixels.affine is None else partial(_save_mask, pixels.array, pixels.affine)
    )
    return {"image": write_image, "label": label}, {}


def _write_channels(files: Sequence[Path], settings: _Settings, target: Path) -> None:
    line = format_line(settings.channels, write_channels(files, settings.channels, target))
    if line and line not in settings.said:
        settings.said.add(line)
        print(line)


def _becomes_nifti(path: Path) -> bool:
    return is_series(path) or is_dicom(path) or suffix_of(path) == ".mhd"


def _written_suffix(path: Path, label: bool = False) -> str:
    if is_flat_dicom(path):
        return flat_suffix(path, label)
    return ".nii.gz" if _becomes_nifti(path) else suffix_of(path)


def _is_volume(path: Path) -> bool:
    return read_pixels(path, label=True).affine is not None


def _convert(write_image: Write, mask: Path, mask_key: str) -> tuple[dict[str, Any], Columns]:
    arrays: dict[str, Any] = {"image": write_image, mask_key: _writer(mask, label=True)}
    if mask_key == "instances":
        pixels = read_pixels(mask, label=True)
        inside = np.uint8(255) * (whole_numbers(pixels.array) > 0)
        arrays["label"] = (
            inside if pixels.affine is None else partial(_save_mask, inside // 255, pixels.affine)
        )
    return arrays, {}


def _writer(path: Path, label: bool = False) -> Write:
    if is_flat_dicom(path):
        return partial(write_flat, path, label=label)
    if _becomes_nifti(path):
        return partial(_write_nifti, path, label=label)
    return partial(shutil.copyfile, path)


def _save_mask(mask: NDArray[Any], affine: NDArray[np.float64], target: Path) -> None:
    nib.save(nib.Nifti1Image(mask, affine), target)


def _write_nifti(source: Path, target: Path, label: bool) -> None:
    volume = read_volume(source, label)
    array = volume.array if volume.array.dtype != bool else volume.array.astype(np.uint8)
    nib.save(nib.Nifti1Image(array, volume.affine), target)
