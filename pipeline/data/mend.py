"""Mending of files that needs no decision: in the cohort's copies, never in the originals."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.cohort import save_image
from pipeline.data.datalist import Entry, read_datalist, write_datalist
from pipeline.data.image_statistics import single_plane
from pipeline.data.issues import Issue
from pipeline.data.readers import read_page

MENDABLE = ("smeared", "colour")


def mend(folder: Path, issues: Sequence[Issue]) -> int:
    """Threshold smeared masks at the middle; give grey images and masks of one colour one channel.

    The mended PNG is written next to the old one, as ``NAME_mended.png``. The old one is removed
    once the datalist names the new one, so an interruption leaves the cohort as it was.

    Args:
        folder: folder of the cohort, whose datalist is rewritten.
        issues: issues of the cohort.

    Returns:
        The number of mended files.

    Raises:
        ValueError: the cohort is a fold, or has folds.
    """
    datalist = read_datalist(folder)
    if (folder / "folds").exists() or "fold" in datalist.description:
        raise ValueError(
            f"{folder}: a cohort with folds, which share its files; remove the folder folds, "
            "mend the cohort, and split it again"
        )
    kinds = {Path(issue.file).resolve(): issue.kind for issue in issues if issue.kind in MENDABLE}
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
        if kind is None:
            continue
        pixels = read_page(path, label=key != "image").array
        flat = pixels if pixels.ndim == 2 else single_plane(pixels)
        target = Path(file).with_name(f"{Path(file).stem}_mended.png")
        save_image(folder / target, np.uint8(255) * (flat > 127) if kind == "smeared" else flat)
        replaced.append(path)
        mended[key] = target.as_posix()
    return mended
