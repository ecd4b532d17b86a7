"""Mending of files that needs no decision: in the cohort's copies, never in the originals."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.cohort import save_image
from pipeline.data.datalist import FILE_KEYS, SPLITS, read_datalist, write_datalist
from pipeline.data.issues import Issue
from pipeline.data.readers import read_page

MENDABLE = ("smeared", "colour")


def mend(folder: Path, issues: Sequence[Issue]) -> int:
    """Threshold smeared masks at the middle, and store grey images in one channel, as PNG.

    The mended file is written next to the old one, as ``NAME_mended.png``. The old one is removed
    once the datalist names the new one, so an interruption leaves the cohort as it was.

    Args:
        folder: folder of the cohort, whose datalist is rewritten.
        issues: issues of the cohort.

    Returns:
        The number of mended files.

    Raises:
        ValueError: the cohort is a fold, or has folds.
    """
    content = read_datalist(folder).content
    if (folder / "folds").exists() or "fold" in content:
        raise ValueError(
            f"{folder}: a cohort with folds, which share its files; remove the folder folds, "
            "mend the cohort, and split it again"
        )
    kinds = {Path(issue.file).resolve(): issue.kind for issue in issues if issue.kind in MENDABLE}
    replaced: list[Path] = []
    splits = {
        split: [_mend_entry(folder, entry, kinds, replaced) for entry in content[split]]
        for split in SPLITS
        if split in content
    }
    if replaced:
        description = {key: value for key, value in content.items() if key not in SPLITS}
        write_datalist(folder, splits, **description)
        for path in replaced:
            path.unlink()
    return len(replaced)


def _mend_entry(
    folder: Path, entry: dict[str, Any], kinds: dict[Path, str], replaced: list[Path]
) -> dict[str, Any]:
    mended = dict(entry)
    for key in FILE_KEYS:
        path = (folder / entry.get(key, "")).resolve()
        kind = kinds.get(path)
        if kind is None:
            continue
        pixels = read_page(path)
        flat = pixels if pixels.ndim == 2 else pixels[..., 0]
        target = Path(entry[key]).with_name(f"{Path(entry[key]).stem}_mended.png")
        save_image(folder / target, np.uint8(255) * (flat > 127) if kind == "smeared" else flat)
        replaced.append(path)
        mended[key] = target.as_posix()
    return mended
