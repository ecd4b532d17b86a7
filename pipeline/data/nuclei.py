"""The nuclei of the 2018 Data Science Bowl, from images and instance labels to a cohort.

``images/NAME.png`` is RGB, ``labels/NAME.png`` uint16 with a number for each nucleus. Grey
fluorescence images, stored as RGB, and coloured tissue stand side by side.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.data.datalist import write_datalist
from pipeline.data.readers import read_page
from pipeline.data.splits import random_split, three_fifths


def prepare_nuclei(
    source: Path, folder: Path, seed: int = 0, tick: Callable[[], object] = lambda: None
) -> None:
    """Write images, instance labels and masks, and the datalist of the cohort.

    60 % of the images train, 20 % validate and 20 % test, at random. Each entry has the group
    column ``stain``: ``fluorescence`` for grey images, ``tissue`` for coloured ones.

    Args:
        source: folder with ``images`` and ``labels``.
        folder: where to write.
        seed: of the split.
        tick: called after each image, to show progress.

    Raises:
        FileNotFoundError: no such folder, no image in it, or an image without its label.
        ValueError: a file is corrupt, or a label of another size than its image or not of whole
            numbers.
    """
    images = sorted((source / "images").glob("*.png"))
    if not images:
        raise FileNotFoundError(
            f"{source / 'images'}: no PNG image; give --source the folder with images and labels"
        )
    entries = []
    for path in images:
        entries.append(_write(path, source / "labels" / path.name, folder))
        tick()
    splits = random_split(len(images), three_fifths(len(images)), seed)
    listed = {name: [entries[i] for i in indices] for name, indices in splits.items()}
    write_datalist(folder, listed, name="nuclei", seed=seed, split="random")


def _write(image_path: Path, label_path: Path, folder: Path) -> dict[str, str]:
    if not label_path.is_file():
        raise FileNotFoundError(f"{label_path}: no label for {image_path.name}; add or remove one")
    image, instances = read_page(image_path), read_page(label_path)
    if image.shape[:2] != instances.shape or not np.issubdtype(instances.dtype, np.integer):
        raise ValueError(
            f"{label_path}: {instances.shape} of {instances.dtype}; expected whole numbers of "
            f"size {image.shape[:2]} as {image_path.name} has"
        )
    pixels = np.atleast_3d(image)[..., :3]
    written = {
        "images": np.broadcast_to(pixels, (*pixels.shape[:2], 3)),
        "instances": instances.astype(np.uint16),
        "labels": np.uint8(255) * (instances > 0),
    }
    for kind, array in written.items():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(array)).save(folder / kind / image_path.name)
    grey = bool((pixels == pixels[..., :1]).all())
    name = image_path.name
    return {
        "image": f"images/{name}",
        "label": f"labels/{name}",
        "instances": f"instances/{name}",
        "stain": "fluorescence" if grey else "tissue",
    }
