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

from pipeline.evaluation.overlays import stretched
from pipeline.explanation.latent import Clusters
from pipeline.explanation.maps import shown

TILE, GAP, HEAD, LEFT = 256, 8, 26, 60
"""Pixels of a small picture, between two, above one for its title, and left of a row."""
DPI = 100


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
    width = LEFT + max(len(row) for _, row in rows) * (TILE + GAP)
    canvas = np.ones((len(rows) * (HEAD + TILE + GAP), width, 3))
    figure, axes = _canvas(width, len(canvas))
    for i, (of, row) in enumerate(rows):
        top = i * (HEAD + TILE + GAP) + HEAD
        middle = top + TILE / 2
        axes.text(LEFT / 2, middle, of, rotation=90, fontsize=8, ha="center", va="center")
        for j, panel in enumerate(row):
            left = LEFT + j * (TILE + GAP)
            canvas[top : top + TILE, left : left + TILE] = _drawn(panel)
            axes.text(left + TILE / 2, top - GAP, panel.title, fontsize=8, ha="center")
    _show(axes, canvas)
    return figure


def channels(maps: Tensor, columns: int = 16) -> Figure:
    """Draw every channel of one step's map by itself, each from its own least to its own largest.

    Args:
        maps: ``(1, channels, *spatial)``.
        columns: pictures in a row; on its left stands the number of its first channel.
    """
    side, gap = TILE // 4, GAP // 4
    count = maps.shape[1]
    canvas = np.ones((-(-count // columns) * (side + gap), LEFT + columns * (side + gap), 3))
    for number in range(count):
        row, column = divmod(number, columns)
        top, left = row * (side + gap), LEFT + column * (side + gap)
        tile = stretched(shown(maps[0, number], side)).numpy(force=True)
        canvas[top : top + side, left : left + side] = colormaps["viridis"](tile)[..., :3]
    figure, axes = _canvas(canvas.shape[1], len(canvas))
    _show(axes, canvas)
    for first in range(0, count, columns):
        middle = first // columns * (side + gap) + side / 2
        axes.text(LEFT / 2, middle, str(first), fontsize=8, ha="center", va="center")
    return figure


def _canvas(width: int, height: int) -> tuple[Figure, Axes]:
    """A figure of so many pixels; many small axes would take minutes to lay out."""
    figure = Figure((width / DPI, height / DPI), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    return figure, axes


def _show(axes: Axes, pixels: NDArray[np.float64]) -> None:
    """Draw pixels on a canvas of their size, each on its own place."""
    height, width = pixels.shape[:2]
    axes.imshow(pixels, interpolation="none", extent=(0, width, height, 0), aspect="auto")
    axes.set(xlim=(0, width), ylim=(height, 0))


def _drawn(panel: Panel) -> NDArray[np.float64]:
    """A panel's colours, ``(TILE, TILE, 3)``."""
    grey = stretched(shown(panel.pixels.float(), TILE)).numpy(force=True)
    drawn = colormaps[panel.colours](grey)[..., :3]
    if panel.heat is None:
        return drawn
    heat = shown(panel.heat.float(), TILE).numpy(force=True)
    # single bright pixels would darken all others; what helps when hidden stays clear
    full = max(np.quantile(heat, 0.995), heat.max() / 20, 1e-12)
    strength = (heat / full).clip(0, 1)
    cover = 0.75 * strength[..., None] ** 0.5
    return (1 - cover) * drawn + cover * colormaps["inferno"](strength)[..., :3]


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


def as_png(figure: Figure) -> bytes:
    """Return a figure as a picture."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=DPI, format="png")
    return buffer.getvalue()


def as_pixels(image: Tensor) -> Tensor:
    """Return the mean over an image's channels, for the eye: ``(C, *spatial)`` to ``spatial``."""
    return torch.as_tensor(image).float().mean(0)
