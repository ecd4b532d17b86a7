"""Made cohorts of every kind that ``unet-school new`` plans, and their bundles."""

import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image

from pipeline import cli

KINDS = [
    f"{dims}D {labels} {colour}"
    for dims, labels, colour in itertools.product(
        (2, 3), ("mask", "classes", "instances"), ("grey", "colour")
    )
    if (dims, colour) != (3, "colour")  # no format of volumes holds colour
]
SMALL = {
    "network_def#features": [2, 4, 4],
    "batch_size": 2,
    "steps_per_epoch": 2,
    "max_epochs": 1,
    "val_interval": 1,
    "threads": 1,
    "cache_rate": 1.0,
}
PATCHES = {2: {"patch": [32, 32], "window": [48, 48]}, 3: {"patch": [16] * 3, "window": [16] * 3}}


def new_bundle(root: Path, kind: str) -> Path:
    """Plan a bundle for six made images of a kind."""
    dims, labels, colour = kind.split()
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(6):
        mask = _mask(int(dims[0]), labels, i)
        image = np.clip(60 * (mask > 0) + rng.normal(90, 15, mask.shape), 0, 255)
        _save(root, i, image.astype(np.uint8), mask, colour == "colour")
    bundle = root / kind.replace(" ", "_").lower()
    folders = ["--images", str(root / "images"), "--masks", str(root / "masks")]
    assert cli.main(["new", str(bundle), *folders, "--kind", labels]) == 0
    return bundle


def _mask(dims: int, labels: str, i: int) -> np.ndarray:
    """Two boxes that touch: one structure, two classes, or two instances."""
    side = 48 if dims == 2 else 20
    mask = np.zeros((side,) * dims, np.uint8)
    middle, low, high = side // 2, side // 5 + i % 3, side - side // 5
    across = (slice(low, high),) * (dims - 1)
    mask[(slice(low, middle), *across)] = 1
    mask[(slice(middle, high), *across)] = 1 if labels == "mask" else 2
    return mask


def _save(root: Path, i: int, image: np.ndarray, mask: np.ndarray, colour: bool) -> None:
    if image.ndim == 3:
        for folder, voxels in (("images", image.astype(np.float32)), ("masks", mask)):
            nib.save(nib.Nifti1Image(voxels, np.eye(4)), root / folder / f"c{i}.nii.gz")
        return
    pixels = np.stack([image, image[::-1], image // 2], axis=-1) if colour else image
    Image.fromarray(pixels).save(root / "images" / f"c{i}.png")
    Image.fromarray(mask).save(root / "masks" / f"c{i}.png")
