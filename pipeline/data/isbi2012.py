"""The ISBI 2012 challenge's membranes, from its TIFF stacks to a cohort.

``train-volume.tif`` and ``train-labels.tif`` hold one slice a page, 512 x 512 uint8; in the labels
255 is the inside of a cell and 0 a membrane. The slices are neighbours in one stack.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from pipeline.data.datalist import write_datalist
from pipeline.data.readers import read_stack
from pipeline.data.splits import contiguous_split, random_split
from transforms import BinaryMask, GreyImage

VOLUME, LABELS = "train-volume.tif", "train-labels.tif"


def prepare_isbi2012(
    source: Path,
    folder: Path,
    sizes: Sequence[int] = (15, 5, 5),
    split: Literal["random", "contiguous"] = "random",
    seed: int = 0,
    tick: Callable[[], object] = lambda: None,
) -> None:
    """Write each slice as a PNG and the datalist of the cohort.

    Args:
        source: folder with the challenge's two training stacks.
        folder: where to write.
        sizes: slices in training, validation and test.
        split: drawn at random, or runs of neighbours.
        seed: of the random split.
        tick: called after each slice, to show progress.

    Raises:
        FileNotFoundError: no such folder, or a stack is not in it.
        ValueError: a stack is corrupt, the stacks do not match, or the sizes do not sum.
    """
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such folder; give --source the challenge's folder")
    images, labels = read_stack(source / VOLUME), read_stack(source / LABELS)
    if images.shape != labels.shape:
        raise ValueError(
            f"{source / LABELS}: {_pages(labels)}; expected {_pages(images)} as {VOLUME} has"
        )
    count = len(images)
    splits = (
        random_split(count, sizes, seed) if split == "random" else contiguous_split(count, sizes)
    )
    for i in range(count):
        _write(folder / "images", i, images[i], source / VOLUME, GreyImage())
        _write(folder / "labels", i, labels[i], source / LABELS, BinaryMask())
        tick()
    entries = {name: [_entry(i) for i in indices] for name, indices in splits.items()}
    write_datalist(folder, entries, name="isbi2012", seed=seed, split=split)


def _entry(i: int) -> dict[str, str | int]:
    return {"image": f"images/slice_{i:02d}.png", "label": f"labels/slice_{i:02d}.png", "slice": i}


def _write(
    folder: Path, i: int, page: np.ndarray, source: Path, check: Callable[[np.ndarray], object]
) -> None:
    try:
        check(page[None])
    except ValueError as error:
        raise ValueError(f"{source}, page {i}: {error}") from None
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(page).save(folder / f"slice_{i:02d}.png")


def _pages(stack: np.ndarray) -> str:
    return f"{len(stack)} pages of {stack.shape[1]} x {stack.shape[2]}"
