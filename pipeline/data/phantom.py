"""Synthetic images of touching cells, for demonstrations and tests without real data.

Each image is a sheet of cells like those of an electron micrograph: dark membranes of varying
strength between bright, textured interiors, dark organelles inside, uneven light, blur and noise.
Organelles and shadows are as dark as membranes, so no intensity threshold separates the two.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import fft, ndimage
from scipy.spatial import cKDTree
from skimage.measure import label
from skimage.morphology import remove_small_objects
from skimage.segmentation import find_boundaries, relabel_sequential

from pipeline.data.datalist import write_datalist
from pipeline.data.splits import default_sizes, random_split

MEAN_CELL_AREA_PX = 1200
"""Mean area of a cell, in pixels."""


def write_cells(
    folder: Path, count: int, size: int, seed: int, tick: Callable[[], object] = lambda: None
) -> None:
    """Write ``count`` phantom images with labels and instances, and their datalist.

    Args:
        folder: folder to write to; created if absent.
        count: number of images: 60 % for training, 20 % for validation and 20 % for test, at least
            1 each.
        size: side of each image in pixels.
        seed: seed of the split; ``(seed, i)`` is that of image ``i``.
        tick: function called after each image, to show progress.

    Raises:
        ValueError: fewer than 3 images, or a side under 64 pixels.
    """
    if count < 3:
        raise ValueError(f"--count {count}: expected at least 3, one for each split")
    if size < 64:
        raise ValueError(f"--size {size}: expected at least 64 pixels, to hold some cells")
    for i in range(count):
        image, instances = cells(size, np.random.default_rng((seed, i)))
        _write(folder / "images" / f"cells_{i:03d}.png", image)
        _write(folder / "labels" / f"cells_{i:03d}.png", np.uint8(255) * (instances > 0))
        _write(folder / "instances" / f"cells_{i:03d}.png", instances)
        tick()
    splits = random_split(count, default_sizes(count), seed)
    entries = {name: [_entry(i) for i in indices] for name, indices in splits.items()}
    write_datalist(folder, entries, name="phantom cells", seed=seed, split="random", size=size)


def _entry(i: int) -> dict[str, str]:
    folders = {"image": "images", "label": "labels", "instances": "instances"}
    return {key: f"{folder}/cells_{i:03d}.png" for key, folder in folders.items()}


def cells(size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Make one image of touching cells.

    Args:
        size: side in pixels.
        rng: random number generator.

    Returns:
        The image, uint8 ``(size, size)``, and the instances, uint16 ``(size, size)``: 0 for
        membrane, 1 to N for the cells.

    Example:
        >>> image, instances = cells(64, np.random.default_rng(0))
        >>> image.shape, image.dtype, int(instances.max()) > 1
        ((64, 64), dtype('uint8'), True)
    """
    instances, edge = _sheet(size, rng)
    interior = 0.68 + 0.05 * rng.standard_normal(instances.max() + 1)[instances]
    strength = smooth_field(size, 25, rng, 0.28, 0.09)
    membrane = strength * np.exp(-((edge / 2.2) ** 2))
    organelles = 0.3 * (smooth_field(size, 3, rng, 0, 1) > 1.6) * (edge > 4)
    light = smooth_field(size, size / 5, rng, 0, 0.12)
    texture = smooth_field(size, 1.5, rng, 0, 0.05)
    image = ndimage.gaussian_filter(interior - membrane - organelles + texture, 0.8) + light
    image += rng.normal(0, 0.05, image.shape)
    return (255 * image.clip(0, 1)).astype(np.uint8), instances


def _sheet(size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Divide the plane into cells; return the instances and the distance to the nearest border."""
    margin = 40
    centres = rng.uniform(
        -margin, size + margin, (max(4, (size + 2 * margin) ** 2 // MEAN_CELL_AREA_PX), 2)
    )
    bend = np.stack([smooth_field(size, 8, rng, 0, 4) for _ in range(2)], axis=-1)
    pixels = np.moveaxis(np.mgrid[:size, :size], 0, -1)
    _, nearest = cKDTree(centres).query(pixels + bend)
    edge = ndimage.distance_transform_edt(~find_boundaries(nearest, mode="inner"))
    instances = label((nearest + 1) * (edge > 1.5), connectivity=1)
    instances = remove_small_objects(instances, max_size=30, connectivity=1)
    return relabel_sequential(instances)[0].astype(np.uint16), edge


def smooth_field(
    size: int, sigma: float, rng: np.random.Generator, mean: float, deviation: float
) -> np.ndarray:
    """Return a smooth random field of the given mean and standard deviation.

    White noise under a Gaussian that wraps around; its product in frequencies takes the same time
    for any ``sigma``.
    """
    impulse = np.zeros(size)
    impulse[0] = 1
    gain = fft.fft(ndimage.gaussian_filter1d(impulse, sigma, mode="wrap")).real
    spectrum = fft.rfft2(rng.standard_normal((size, size)))
    field = fft.irfft2(gain[:, None] * gain[: size // 2 + 1] * spectrum, s=(size, size))
    return mean + deviation * (field - field.mean()) / field.std()


def _write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
