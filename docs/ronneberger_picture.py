"""Draws ``ronneberger.png``: what the transforms of the original U-Net's recipe do to a phantom.

python docs/ronneberger_picture.py
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pipeline.data.phantom import cells
from transforms import BorderWeightMap, RandElasticGridd, SeparateTouching

SIDE, PITCH = 192, 24


def main() -> None:
    """Write the picture beside this file."""
    image, instances = cells(SIDE, np.random.default_rng(2))
    grid = np.zeros((1, SIDE, SIDE), np.float32)
    grid[:, PITCH // 2 :: PITCH] = grid[..., PITCH // 2 :: PITCH] = 1
    touching = grown(instances)
    separated = SeparateTouching(width=2)(touching[None])
    weight = BorderWeightMap()(separated)
    data = {"image": image[None].astype(np.float32), "grid": grid, "weight": weight}
    deform = RandElasticGridd(data.keys(), mode="bilinear").set_random_state(4)
    deformed = deform(data)
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    upper, lower = figure.subplots(2, 4)
    shown = (
        (upper[0], data["image"], "image", "gray"),
        (upper[1], touching[None] % 17 + (touching[None] > 0), "touching cells", "tab20"),
        (upper[2], separated % 17 + (separated > 0), "separated, width 2", "tab20"),
        (upper[3], weight, "border weight map", "magma"),
        (lower[0], deformed["image"], "the image, deformed", "gray"),
        (lower[1], grid, "a grid", "gray_r"),
        (lower[2], deformed["grid"], "the grid, deformed alike", "gray_r"),
        (lower[3], deformed["weight"], "the map, deformed alike", "magma"),
    )
    for axes, picture, title, colours in shown:
        axes.imshow(picture[0], cmap=colours, interpolation="nearest")
        axes.set_title(title, fontsize=10)
        axes.axis("off")
    figure.savefig(Path(__file__).with_suffix("").parent / "ronneberger.png", dpi=110)


def grown(instances: np.ndarray) -> np.ndarray:
    """The cells grown until they touch, as careless annotation draws them."""
    from skimage.segmentation import expand_labels

    touching: np.ndarray = expand_labels(instances, 6).astype(np.int32)
    return touching


if __name__ == "__main__":
    main()
