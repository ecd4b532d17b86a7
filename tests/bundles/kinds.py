"""Made cohorts of every kind that ``unet-school new`` plans, and their bundles."""

import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image

from pipeline import cli

CONTENTS = ("grey", "colour", "channels")
"""What an image holds: one grey value a pixel, red, green and blue, or two images of a case."""
KINDS = [
    f"{dims}D {labels} {content}"
    for dims, labels, content in itertools.product(
        (2, 3), ("mask", "classes", "instances"), CONTENTS
    )
    if (dims, content) != (3, "colour")  # refused, see tests/bundles/test_matrix.py
]
CHANNELS = {"T1": "_0000", "T2": "_0001"}
AFFINE = np.diag([-1.5, 1.5, 1.5, 1.0])
"""Place of the volumes: stored from right to left, unlike the network's grid."""
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
    """Plan a bundle for six made cases of a kind."""
    dims, labels, content = kind.split()
    rng = np.random.default_rng(0)
    for i in range(6):
        mask = _mask(int(dims[0]), labels, i)
        image = np.clip(60 * (mask > 0) + rng.normal(90, 15, mask.shape), 0, 255).astype(np.uint8)
        save(root / "masks", f"c{i}", mask)
        for name, pixels in _images(f"c{i}", image, content).items():
            save(root / "images", name, pixels)
    bundle = root / kind.replace(" ", "_").lower()
    call = ["new", str(bundle), "--images", str(root / "images"), "--masks", str(root / "masks")]
    if content == "channels":
        call += ["--channels", *(f"{name}={ending}" for name, ending in CHANNELS.items())]
    assert cli.main([*call, "--kind", labels]) == 0
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


def _images(case: str, image: np.ndarray, content: str) -> dict[str, np.ndarray]:
    """The images of a case by name; the second channel is another image of the same place."""
    if content == "channels":
        return {f"{case}_0000": image, f"{case}_0001": 255 - image // 2}
    if content == "colour":
        return {case: np.stack([image, image[::-1], image // 2], axis=-1)}
    return {case: image}


def save(folder: Path, name: str, pixels: np.ndarray) -> None:
    """Save a volume as NIfTI, a flat image as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    if pixels.ndim == 3 and pixels.shape[-1] != 3:
        nib.save(nib.Nifti1Image(pixels, AFFINE), folder / f"{name}.nii.gz")
    else:
        Image.fromarray(pixels).save(folder / f"{name}.png")
