"""What DICOM adds to a cohort: patients, modality, and the format of flat images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from pipeline.data.dicom_header import read_header
from pipeline.data.modality import technique
from pipeline.data.pixels import Pixels
from pipeline.data.readers import read_page
from pipeline.data.sources import Source
from pipeline.data.tiff import centimetres

MIN_PATIENTS = 3
"""A split needs as many."""


def dicom_patients(sources: Sequence[Source]) -> tuple[dict[str, str], list[str]]:
    """Return the pseudonym of the patient of each DICOM image by its name, and remarks.

    Data made anonymous often have one PatientID for all: where one patient has all studies, each
    study is a patient, and a remark says so.
    """
    series = {source.name: source.series for source in sources if source.series}
    patients = {one.patient for one in series.values()}
    studies = {one.study for one in series.values()}
    if len(series) < len(sources) or len(patients) > 1 or len(studies) < MIN_PATIENTS:
        return {name: one.patient for name, one in series.items()}, []
    remark = (
        f"patients: all {len(sources)} images have one PatientID, as anonymous data have: each of "
        f"the {len(studies)} studies is taken as a patient; if studies are of one patient, name "
        "the patients with --patient"
    )
    return {name: f"{one.patient}-{one.study}" for name, one in series.items()}, [remark]


def check_modality(sources: Sequence[Source], given: str | None) -> str:
    """Return the one modality of the images; empty if neither DICOM nor the user says it.

    Raises:
        ValueError: two images are of different modalities, or of another than the given one.
    """
    first: tuple[str, Path] | None = (given.upper(), Path("--modality")) if given else None
    for source in sources:
        modality = source.series.modality if source.series else ""
        if not modality:
            continue
        first = first or (modality, source.path)
        if technique(modality) != technique(first[0]):
            raise ValueError(
                f"{source.path}: modality {modality}, but {first[1]} is {first[0]}; expected one "
                f"modality; choose the images with --series Modality={modality}"
            )
    return first[0] if first else ""


def flat_suffix(path: Path, label: bool) -> str:
    """Return the format that holds a flat DICOM image: ``.png``, or ``.tif`` for other numbers."""
    header = read_header(path)
    if header.is_colour:
        return ".png" if header.bits <= 8 else ".tif"
    unsigned = not header.signed and header.bits <= 16
    if label:
        return ".png" if unsigned else ".tif"
    return ".png" if header.is_projection or (unsigned and not header.rescaled) else ".tif"


def write_flat(source: Path, target: Path, label: bool) -> None:
    """Write the pixels of a flat DICOM image as PNG or TIFF; TIFF keeps their size."""
    pixels = read_page(source, label=label)
    if target.suffix == ".png":
        Image.fromarray(np.ascontiguousarray(pixels.array)).save(target)
        return
    save_tiff(pixels, target)


def save_tiff(pixels: Pixels, target: Path) -> None:
    """Write the pixels of a flat image as TIFF, with their size as far as it is known."""
    photometric = "rgb" if pixels.colour else "minisblack"
    size = {} if pixels.spacing is None else centimetres(pixels.spacing)
    tifffile.imwrite(target, pixels.array, photometric=photometric, **size)
