"""Mending what can be mended without a decision: in the cohort's copies, never in originals."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.cohort import save_image
from pipeline.data.datalist import FILE_KEYS, SPLITS, read_datalist, write_datalist
from pipeline.data.findings import Finding
from pipeline.data.readers import read_page

MENDABLE = ("smeared", "colour")


def mend(folder: Path, found: Sequence[Finding]) -> int:
    """Threshold smeared masks at the middle, make grey images grey; both become PNG.

    Args:
        folder: of the cohort, whose datalist is written anew.
        found: what was found in it.

    Returns:
        How many files were mended.
    """
    content = read_datalist(folder).content
    kinds = {Path(each.file).resolve(): each.kind for each in found if each.kind in MENDABLE}
    entries = [entry for split in SPLITS for entry in content.get(split, ())]
    mended = sum(_mend_entry(folder, entry, kinds) for entry in entries)
    if mended:
        description = {key: value for key, value in content.items() if key not in SPLITS}
        splits = {split: content[split] for split in SPLITS if split in content}
        write_datalist(folder, splits, **description)
    return mended


def _mend_entry(folder: Path, entry: dict[str, Any], kinds: dict[Path, str]) -> int:
    mended = 0
    for key in FILE_KEYS:
        path = (folder / entry.get(key, "")).resolve()
        kind = kinds.get(path)
        if kind is None:
            continue
        pixels = read_page(path)
        flat = pixels if pixels.ndim == 2 else pixels[..., 0]
        target = path.with_suffix(".png")
        top = np.iinfo(flat.dtype).max
        save_image(target, np.uint8(255) * (flat > top / 2) if kind == "smeared" else flat)
        if target != path:
            path.unlink()
        entry[key] = Path(entry[key]).with_suffix(".png").as_posix()
        mended += 1
    return mended
