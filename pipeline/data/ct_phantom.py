"""Synthetic CT slices of the chest, for use without real ones.

Each is in CT values (Hounsfield units): a body of fat, muscle, ribs and a spine on a table, two
lungs with vessels that branch from the hilum, heart and aorta, and air outside the lungs: around
the body, in the trachea, in the oesophagus, and in the stomach below the left lung. Dependent lung
is denser, and some patients have a consolidation, which is as bright as muscle and belongs to the
lung. So no threshold separates the lungs. The slices of a patient run from the apex to the base.

The files have the layout of the published set, which ``unet-school data prepare lung_ct`` reads.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from tifffile import imwrite

from pipeline.data.phantom import smooth_field

SLICES_PER_PATIENT = 8
AIR, LUNG, FAT, MUSCLE, BLOOD, BONE, TABLE = -1000, -840, -100, 45, 60, 500, -150
"""CT values, in Hounsfield units."""

Field = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Anatomy(NamedTuple):
    """Anatomy of a patient, the same in all slices; lengths in half sides of the image.

    Attributes:
        body: half axes of the body.
        middle: centre of the body, to the right and down.
        lungs: factor on the size of the lungs.
        rotation: rotation of the patient on the table, radians.
        density: density of the lungs, Hounsfield units.
        consolidation: share of the lung's height that is consolidated; 0: none.
        noise: standard deviation of the noise, Hounsfield units.
    """

    body: tuple[float, float]
    middle: tuple[float, float]
    lungs: float
    rotation: float
    density: float
    consolidation: float
    noise: float


def write_lungs(
    folder: Path, count: int, size: int, seed: int, tick: Callable[[], object] = lambda: None
) -> None:
    """Write ``count`` slices, eight of each patient, as ``2d_images`` and ``2d_masks`` of TIFF.

    Args:
        folder: folder to write to; created if absent.
        count: number of slices.
        size: side of each slice in pixels.
        seed: ``(seed, i)`` is the seed of patient ``i``.
        tick: function called after each slice, to show progress.

    Raises:
        ValueError: slices of fewer than 3 patients, one for each split, or a side under 64 pixels.
    """
    if count <= 2 * SLICES_PER_PATIENT:
        minimum = 2 * SLICES_PER_PATIENT + 1
        raise ValueError(f"--count {count}: expected at least {minimum}, slices of three patients")
    if size < 64:
        raise ValueError(f"--size {size}: expected at least 64 pixels, to hold the vessels")
    for kind in ("2d_images", "2d_masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for first in range(0, count, SLICES_PER_PATIENT):
        patient = first // SLICES_PER_PATIENT
        rng = np.random.default_rng((seed, patient))
        anatomy = draw_anatomy(rng)
        for i in range(min(SLICES_PER_PATIENT, count - first)):
            image, lungs = chest(size, anatomy, (i + 0.5) / SLICES_PER_PATIENT, rng)
            name = f"MADE_{patient:04d}_Z_{i:04d}.tif"
            imwrite(folder / "2d_images" / name, image)
            imwrite(folder / "2d_masks" / name, np.uint8(255) * lungs)
            tick()


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draw the anatomy of a patient at random."""
    width = rng.uniform(0.72, 0.9)
    return Anatomy(
        body=(width, width * rng.uniform(0.64, 0.78)),
        middle=(rng.uniform(-0.05, 0.05), rng.uniform(-0.08, 0.04)),
        lungs=rng.uniform(0.88, 1.06),
        rotation=rng.normal(0, 0.05),
        density=LUNG + rng.normal(0, 35),
        consolidation=rng.uniform(0.15, 0.4) if rng.random() < 0.4 else 0.0,
        noise=rng.uniform(15, 45),
    )


def chest(
    size: int, anatomy: Anatomy, height: float, rng: np.random.Generator
) -> tuple[NDArray[np.int16], Mask]:
    """Make one slice.

    Args:
        size: side in pixels.
        anatomy: anatomy of the patient.
        height: position of the slice, from 0 at the apex of the lungs to 1 at their base.
        rng: random number generator.

    Returns:
        CT values ``(size, size)``, and the mask of the lungs, with their vessels.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> image, lungs = chest(128, draw_anatomy(rng), 0.5, rng)
        >>> image.dtype, bool(image[lungs].mean() < -500 < image[64, 64])
        (dtype('int16'), True)
    """
    x, y = _body_axes(size, anatomy, rng)
    radius = np.hypot(x, y)
    body = radius < 1
    lungs = _lungs(x, y, anatomy.lungs * np.sin(np.pi * (0.14 + 0.62 * height)), height)
    values = np.full((size, size), float(AIR))
    values[_table(size, anatomy)] = TABLE
    values[body] = FAT
    values[radius < 0.93] = MUSCLE
    angle = np.arctan2(y, x)
    ribs = (abs(radius - 0.88) < 0.025) & (np.sin(9 * angle + 20 * height) > 0.1)
    values[ribs | _inside(x, y, (0, 0.62), (0.13, 0.2))] = BONE
    values[_inside(x, y, (0, 0.62), (0.05, 0.06))] = MUSCLE  # the canal of the spine
    aorta = _inside(x, y, (0.16, 0.36), (0.09, 0.12))
    values[aorta] = BLOOD
    depth = (y - y[lungs].min()) / np.ptp(y[lungs])
    texture = smooth_field(size, size / 200, rng, 0, 25)
    values[lungs] = (anatomy.density + 140 * (depth - 0.5) + texture)[lungs]
    values[lungs & _vessels(x, y, lungs, rng)] = BLOOD
    values[lungs & (depth > 1 - anatomy.consolidation) & (x < 0)] = MUSCLE - 15
    for air in _other_air(x, y, height, rng):
        values[air & ~lungs] = AIR
    values = ndimage.gaussian_filter(values, size / 400)
    values += smooth_field(size, size / 500, rng, 0, anatomy.noise)
    return values.clip(-1024, 3000).astype(np.int16), lungs


def _body_axes(size: int, anatomy: Anatomy, rng: np.random.Generator) -> tuple[Field, Field]:
    """Return coordinates with the body as the unit disc; x to the patient's left, y to the back."""
    rows, columns = 2 * (np.mgrid[:size, :size] + 0.5) / size - 1
    across, down = columns - anatomy.middle[0], rows - anatomy.middle[1]
    cosine, sine = np.cos(anatomy.rotation), np.sin(anatomy.rotation)
    bend = [smooth_field(size, size / 12, rng, 0, 0.025) for _ in range(2)]
    x = (cosine * across + sine * down) / anatomy.body[0] + bend[0]
    y = (cosine * down - sine * across) / anatomy.body[1] + bend[1]
    return x, y


def _inside(x: Field, y: Field, middle: tuple[float, float], axes: tuple[float, float]) -> Mask:
    return ((x - middle[0]) / axes[0]) ** 2 + ((y - middle[1]) / axes[1]) ** 2 < 1


def _lungs(x: Field, y: Field, scale: float, height: float) -> Mask:
    right = _inside(x, y, (-0.42, 0), (0.36 * scale, 0.72 * scale))
    left = _inside(x, y, (0.42, 0), (0.36 * scale, 0.72 * scale))
    heart = _inside(x, y, (0.14, -0.25), (0.4 * height, 0.45 * height))
    mediastinum = _inside(x, y, (0, 0.1), (0.14, 0.8)) | _inside(x, y, (0.16, 0.36), (0.12, 0.15))
    lungs: Mask = (right | left) & ~heart & ~mediastinum
    return lungs


def _vessels(x: Field, y: Field, lungs: Mask, rng: np.random.Generator) -> Mask:
    """Draw tubes that wander outwards from both hila and get thinner."""
    points, radii = [], []
    for side in (-1, 1):
        for direction in rng.uniform(-np.pi, np.pi, 22):
            place = np.array([0.2 * side, 0.05])
            for step in range(30):
                direction += rng.normal(0, 0.25)
                place = place + 0.022 * np.array([np.cos(direction), np.sin(direction)])
                points.append(place)
                radii.append(0.022 * (1 - step / 32))
    vessels = np.zeros(lungs.shape, bool)
    distance, nearest = cKDTree(points).query(
        np.stack([x[lungs], y[lungs]], axis=-1), distance_upper_bound=max(radii)
    )
    radius = np.array([*radii, 0])  # the index of no point within the bound is one more
    vessels[lungs] = distance < radius[nearest]
    return vessels


def _other_air(x: Field, y: Field, height: float, rng: np.random.Generator) -> list[Mask]:
    """Return the trachea or its two branches, the oesophagus, and the air in the stomach."""
    if height < 0.45:
        airways = _inside(x, y, (0, 0.05), (0.07, 0.09))
    else:
        airways = _inside(abs(x), y, (0.08, 0.05), (0.04, 0.05))
    oesophagus = _inside(x, y, (0.03, 0.25), (0.03, 0.03))
    cavities = [airways, oesophagus]
    if height > 0.7:
        width = rng.uniform(0.1, 0.25)
        cavities.append(_inside(x, y, (0.45, -0.3), (width, 0.6 * width)))
    return cavities


def _table(size: int, anatomy: Anatomy) -> Mask:
    rows, columns = 2 * (np.mgrid[:size, :size] + 0.5) / size - 1
    curve = anatomy.middle[1] + anatomy.body[1] + 0.05 - 0.12 * columns**2
    table: Mask = (abs(rows - curve) < 0.02) & (abs(columns) < 0.85)
    return table
