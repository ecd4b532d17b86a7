"""Mending what can be mended without a decision: in the cohort's copies, never in originals."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.cohort import save_image
from pipeline.data.datalist import FILE_KEYS, SPLITS, read_datalist, write_datalist
from pipeline.data.issues import Issue
from pipeline.data.readers import read_page

MENDABLE = ("smeared", "colour")


def mend(folder: Path, found: Sequence[Issue]) -> int:
    """Threshold smeared masks at the middle, make grey images grey; both become PNG.

    The mended file stands beside the old one, as ``NAME_mended.png``, until the datalist names it:
    an interruption leaves the cohort as it was.

    Args:
        folder: of the cohort, whose datalist is written anew.
        found: what was found in it.

    Returns:
        How many files were mended.

    Raises:
        ValueError: the cohort is a fold, or folds were made of it.
    """
    content = read_datalist(folder).content
    if (folder / "folds").exists() or "fold" in content:
        raise ValueError(
            f"{folder}: a cohort with folds, which share its files; remove the folder folds, "
            "mend the cohort, and split it again"
        )
    kinds = {Path(each.file).resolve(): each.kind for each in found if each.kind in MENDABLE}
    replaced: list[Path] = []
    splits = {
        split: [_mended(folder, entry, kinds, replaced) for entry in content[split]]
        for split in SPLITS
        if split in content
    }
    if replaced:
        description = {key: value for key, value in content.items() if key not in SPLITS}
        write_datalist(folder, splits, **description)
        for path in replaced:
            path.unlink()
    return len(replaced)


def _mended(
    folder: Path, entry: dict[str, Any], kinds: dict[Path, str], replaced: list[Path]
) -> dict[str, Any]:
    out = dict(entry)
    for key in FILE_KEYS:
        path = (folder / entry.get(key, "")).resolve()
        kind = kinds.get(path)
        if kind is None:
            continue
        pixels = read_page(path)
        flat = pixels if pixels.ndim == 2 else pixels[..., 0]
        named = Path(entry[key]).with_name(f"{Path(entry[key]).stem}_mended.png")
        save_image(folder / named, np.uint8(255) * (flat > 127) if kind == "smeared" else flat)
        replaced.append(path)
        out[key] = named.as_posix()
    return out
