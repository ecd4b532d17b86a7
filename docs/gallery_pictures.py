"""Draws ``tiles.png`` and the pictures of ``gallery.md`` from trained bundles and their cohorts.

python docs/gallery_pictures.py --models MODELS --cohorts COHORTS

In MODELS a folder for each tile has its ``model.pt``, in COHORTS a prepared cohort;
``gallery.md`` has the commands that make both.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from skimage.segmentation import find_boundaries

from pipeline.data.datalist import load_split
from pipeline.data.readers import read_pixels
from pipeline.inference import Prediction, TrainedModel

DOCS = Path(__file__).parent
COLOURS = ((1.0, 0.62, 0.1), (0.2, 0.75, 1.0))
"""Of the outline of the first and the second label: apart for every kind of colour vision."""
SHOWN_PIXELS = 256
"""Side of a tile, about."""
SETTINGS: dict[str, Any] = {"tta_versions": 1, "threads": 1}


class Tile(NamedTuple):
    """One picture.

    Attributes:
        name: of its folders.
        title: what it shows.
        bundle: that segments it.
        overlays: that it was trained with.
        case: number of its test case.
        crop: rows and columns that are shown; 0: all.
        clip: percentiles of the intensities that become black and white.
    """

    name: str
    title: str
    bundle: str
    overlays: tuple[str, ...] = ()
    case: int = 0
    crop: int = 0
    clip: tuple[float, float] = (0, 100)


LIU = ("unet_school_isbi/unet", "unet_school_isbi/reduced/unet")
ERICKSON = ("magicians_corner_pancreas_ct/unet_15",)
TILES = (
    Tile("membranes", "cells, electron microscopy", "bundles/membranes", LIU, crop=256),
    Tile("nuclei", "nuclei, fluorescence", "bundles/nuclei", crop=256),
    Tile("pancreas_ct", "pancreas, a CT slice", "bundles/pancreas_ct", ERICKSON, case=12),
    Tile("hippocampus", "hippocampus, a volume", "bundles/hippocampus", clip=(1, 99.5)),
)


def main() -> None:
    """Write the tiles, and a picture of each with its truth, beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--cohorts", type=Path, required=True)
    options = parser.parse_args()
    tiles = [(tile, *views(tile, options.models, options.cohorts)) for tile in TILES]
    figure = Figure(figsize=(12, 3.3), layout="constrained", facecolor="white")
    for axes, (tile, image, predicted, _) in zip(figure.subplots(1, 4), tiles, strict=True):
        show(axes, image, predicted, tile.title)
    figure.savefig(DOCS / "tiles.png", dpi=100, metadata={"Software": None})
    for tile, image, predicted, truth in tiles:
        save_row(DOCS / f"gallery_{tile.name}.png", image, predicted, truth)


def views(tile: Tile, models: Path, cohorts: Path) -> tuple[np.ndarray, ...]:
    """Return the plane of a test case, and the numbers of its predicted and true labels there."""
    cohort = cohorts / tile.name
    folder = Path(tile.bundle)
    entry = load_split(str(cohort), "test")[tile.case]
    overrides = {"models_dir": str(models / tile.name), **SETTINGS}
    model = TrainedModel.load(folder, overlays=tile.overlays, overrides=overrides)
    prediction = model.predict(entry["image"])
    key = "instances" if prediction.instances is not None else "label"
    image, truth = (read_pixels(Path(entry[name])).array for name in ("image", key))
    return planes(tile, image, predicted_numbers(prediction), truth)


def predicted_numbers(prediction: Prediction) -> np.ndarray:
    """Return the instances where they are separated, else the labels."""
    instances = prediction.instances
    return prediction.label_map if instances is None else instances


def planes(tile: Tile, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return of each array what is shown: of a volume the plane with most of the structure."""
    truth = arrays[-1]
    if truth.ndim == 3:
        index = int((truth > 0).sum((1, 2)).argmax())
        arrays = tuple(np.rot90(array[index]) for array in arrays)
    image, *labels = (array[: tile.crop or None, : tile.crop or None] for array in arrays)
    low, high = np.percentile(image, tile.clip)
    grey = np.clip((image.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1)
    return grey if grey.ndim == 3 else np.stack([grey] * 3, axis=-1), *labels


def show(axes: Any, image: np.ndarray, labels: np.ndarray, title: str) -> None:
    """Show an image with the outline of its labels, as thick in a small image as in a large one."""
    scale = max(1, SHOWN_PIXELS // max(labels.shape))
    shown = image.repeat(scale, 0).repeat(scale, 1)
    large = labels.repeat(scale, 0).repeat(scale, 1)
    shown[find_boundaries(large, mode="thick")] = COLOURS[0]
    if labels.max() == 2:  # two labels, and not instances
        shown[find_boundaries(large == 2, mode="thick")] = COLOURS[1]
    axes.imshow(shown, interpolation="antialiased")
    axes.set_title(title, fontsize=11)
    axes.axis("off")


def save_row(path: Path, image: np.ndarray, predicted: np.ndarray, truth: np.ndarray) -> None:
    """Write an image, its prediction and its truth side by side."""
    figure = Figure(figsize=(9, 3.3), layout="constrained", facecolor="white")
    none = np.zeros(image.shape[:2], np.uint8)
    inside, true = predicted > 0, truth > 0
    dice = 2 * (inside & true).sum() / max(int(inside.sum() + true.sum()), 1)
    titles = (("image", none), (f"prediction, Dice {dice:.2f}", predicted), ("truth", truth))
    for axes, (title, labels) in zip(figure.subplots(1, 3), titles, strict=True):
        show(axes, image, labels, title)
    figure.savefig(path, dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    main()
