"""The pictures of an explanation."""

import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from pipeline.explanation.latent import Clusters
from pipeline.explanation.maps import shown

TILE = 2.1
"""Inches of one small picture."""
COLUMNS = 8
"""Small pictures in a row."""


class Panel(NamedTuple):
    """One small picture.

    Attributes:
        title: above it.
        pixels: ``(H, W)``, or ``(X, Y, Z)``, of which the middle slice is shown.
        heat: drawn over the pixels, of their shape; None: the pixels alone.
        colours: of the pixels, a colour map of matplotlib.
    """

    title: str
    pixels: Tensor
    heat: Tensor | None = None
    colours: str = "gray"


def panels(rows: Sequence[tuple[str, Sequence[Panel]]]) -> Figure:
    """Draw rows of small pictures, each row with what it is of on its left.

    Args:
        rows: what each is of, and its panels.
    """
    width = max(len(row) for _, row in rows)
    figure = Figure((TILE * width, (TILE + 0.25) * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), width, squeeze=False)
    for axes, (of, row) in zip(grid, rows, strict=True):
        for each in axes:
            each.set_axis_off()
        for each, panel in zip(axes, row, strict=False):
            _draw(each, panel)
        axes[0].set_axis_on()
        axes[0].set(xticks=[], yticks=[])
        axes[0].set_ylabel(of, fontsize=8)
        for side in axes[0].spines.values():
            side.set_visible(False)
    return figure


def _draw(axes: Axes, panel: Panel) -> None:
    axes.imshow(shown(panel.pixels.float()).numpy(force=True), cmap=panel.colours)
    if panel.heat is not None:
        heat = shown(panel.heat.float()).numpy(force=True)
        # single bright pixels would darken all others; what helps when hidden stays clear
        full = max(np.quantile(heat, 0.995), heat.max() / 20, 1e-12)
        strength = (heat / full).clip(0, 1)
        axes.imshow(colormaps["inferno"](strength), alpha=0.75 * strength**0.5)
    axes.set_title(panel.title, fontsize=8)


def channels(maps: Tensor, columns: int = 16) -> Figure:
    """Draw every channel of one step's map by itself, each from its own least to its own largest.

    Args:
        maps: ``(1, channels, *spatial)``.
        columns: pictures in a row.
    """
    count = maps.shape[1]
    rows = -(-count // columns)
    figure = Figure((columns * 0.75, rows * 0.85), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flat
    for number, axes in enumerate(grid):
        axes.set_axis_off()
        if number < count:
            axes.imshow(shown(maps[0, number], 64).numpy(force=True), cmap="viridis")
            axes.set_title(str(number), fontsize=5, pad=1)
    return figure


def latent_scatter(
    places: NDArray[np.float64],
    clusters: Clusters,
    groups: Sequence[str],
    how: str = "principal axis",
) -> Figure:
    """Draw the images in two dimensions, coloured by cluster and by group.

    Args:
        places: ``(N, 2)`` or more columns, of which the first two are drawn.
        clusters: of the images.
        groups: of the images; one alone: no second picture.
        how: what the two axes are.
    """
    by_cluster = [f"cluster {number + 1}" for number in clusters.of_image]
    colourings = [("clusters", by_cluster)]
    colourings += [("groups", list(groups))] if len(set(groups)) > 1 else []
    figure = Figure((5.2 * len(colourings), 4.2), layout="constrained")
    for axes, (title, names) in zip(
        figure.subplots(1, len(colourings), squeeze=False)[0], colourings, strict=True
    ):
        for name in sorted(set(names)):
            chosen = np.array([each == name for each in names])
            axes.scatter(*places[chosen, :2].T, s=11, alpha=0.75, label=name)
        axes.set(title=title, xlabel=f"{how} 1", ylabel=f"{how} 2")
        axes.legend(frameon=False, fontsize=8)
    return figure


def silhouette_curve(silhouettes: Mapping[int, float], chosen: int) -> Figure:
    """Draw how well clusters are apart against their number."""
    figure = Figure((4.4, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(list(silhouettes), list(silhouettes.values()), marker="o", color="#3a6ea5")
    axes.axvline(chosen, color="0.4", linestyle=":")
    axes.set(xlabel="clusters", ylabel="silhouette", xticks=list(silhouettes))
    axes.grid(alpha=0.25)
    return figure


def as_png(figure: Figure, dpi: int = 110) -> bytes:
    """Return a figure as a picture."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=dpi, format="png")
    return buffer.getvalue()


def as_pixels(image: Tensor) -> Tensor:
    """Return the mean over an image's channels, for the eye: ``(C, *spatial)`` to ``spatial``."""
    return torch.as_tensor(image).float().mean(0)
