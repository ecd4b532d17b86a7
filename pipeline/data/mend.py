"""Mending of files that needs no decision: in the cohort's copies, never in the originals."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from pipeline.data.cohort import save_image
from pipeline.data.datalist import Entry, read_datalist, write_datalist
from pipeline.data.image_statistics import single_plane
from pipeline.data.issues import Issue
from pipeline.data.readers import read_page, read_pixels
from pipeline.data.resample import resample_label
from pipeline.data.suffixes import stem_of
from pipeline.data.volumes import read_volume
from pipeline.files import atomic

MENDABLE = ("smeared", "colour")
"""Kinds of issues that are mended without being asked."""
RESAMPLED = ("size", "place")
"""Kinds of a label on another grid than its volume, which is resampled on request."""


def mend(folder: Path, issues: Sequence[Issue], mendable: Sequence[str] = MENDABLE) -> int:
    """Threshold smeared masks at the middle; give grey images and masks of one colour one channel.

    The label of a volume that lies on another grid is resampled to it, each voxel with the number
    of the nearest. What is mended is written next to the old file, as ``NAME_mended``. The old one
    is removed once the datalist names the new one, so an interruption leaves the cohort as it was.

    Args:
        folder: folder of the cohort, whose datalist is rewritten.
        issues: issues of the cohort.
        mendable: kinds of the issues to mend.

    Returns:
        The number of mended files.

    Raises:
        ValueError: the cohort is a fold, or has folds; or most of a label lies outside its image.
    """
    datalist = read_datalist(folder)
    if (folder / "folds").exists() or "fold" in datalist.description:
        raise ValueError(
            f"{folder}: a cohort with folds, which share its files; remove the folder folds, "
            "mend the cohort, and split it again"
        )
    kinds = {Path(issue.file).resolve(): issue.kind for issue in issues if issue.kind in mendable}
    replaced: list[Path] = []
    splits = {
        split: [_mend_entry(folder, entry, kinds, replaced) for entry in entries]
        for split, entries in datalist.splits.items()
    }
    if replaced:
        write_datalist(folder, splits, **datalist.description)
        for path in replaced:
            path.unlink()
    return len(replaced)


def _mend_entry(
    folder: Path, entry: Entry, kinds: dict[Path, str], replaced: list[Path]
) -> dict[str, Any]:
    mended = entry.unhashed()
    for key, file in entry.files().items():
        path = (folder / file).resolve()
        kind = kinds.get(path)
        if kind in MENDABLE:
            target = _mend_page(folder, file, kind, key != "image")
        elif (
            kind in RESAMPLED
            and key != "image"
            and read_pixels(path, label=True).affine is not None
        ):
            target = _mend_place(folder, entry.image, file)
        else:
            continue
        replaced.append(path)
        mended[key] = target.as_posix()
    return mended


def _mend_page(folder: Path, file: str, kind: str, label: bool) -> Path:
    pixels = read_page(folder / file, label=label).array
    flat = pixels if pixels.ndim == 2 else single_plane(pixels)
    target = _mended(file, ".png")
    save_image(folder / target, np.uint8(255) * (flat > 127) if kind == "smeared" else flat)
    return target


def _mend_place(folder: Path, image: str, file: str) -> Path:
    volume, target = read_volume(folder / image), _mended(file, ".nii.gz")
    try:
        label = resample_label(read_volume(folder / file, label=True), volume)
    except ValueError as error:
        raise ValueError(f"{folder / file}: {error}") from None
    with atomic(folder / target) as temporary:
        nib.save(nib.Nifti1Image(label, volume.affine), temporary)
    return target


def _is_volume(label: Path) -> bool:
    return read_pixels(label, label=True).affine is not None


def _mended(file: str, suffix: str) -> Path:
    return Path(file).with_name(f"{stem_of(Path(file))}_mended{suffix}")
