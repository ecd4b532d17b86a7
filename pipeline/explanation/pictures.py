"""Pictures of an explanation."""

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
from pipeline.explanation.maps import resize_map

TILE_PIXELS, GAP_PIXELS, TITLE_PIXELS, MARGIN_PIXELS = 256, 8, 26, 60
"""Side of a panel, gap between panels, height of a panel's title, margin on the left of a row."""
DPI = 100


class Panel(NamedTuple):
    """One small picture.

    Attributes:
        title: title above the picture.
        pixels: ``(H, W)``, or ``(X, Y, Z)``, whose middle slice is drawn.
        heat: map of the same shape that is drawn over the pixels; None: the pixels alone.
        colours: name of matplotlib's colour map for the pixels.
    """

    title: str
    pixels: Tensor
    heat: Tensor | None = None
    colours: str = "gray"


def panels(rows: Sequence[tuple[str, Sequence[Panel]]], tile: int = TILE_PIXELS) -> Figure:
    """Draw rows of panels, each row with a title on its left.

    Args:
        rows: title and panels of each row.
        tile: side of a panel, pixels.
    """
    pitch = tile + GAP_PIXELS
    width = MARGIN_PIXELS + max(len(row) for _, row in rows) * pitch
    canvas = np.ones((len(rows) * (TITLE_PIXELS + pitch), width, 3))
    figure, axes = _make_canvas(width, len(canvas))
    for i, (title, row) in enumerate(rows):
        top = i * (TITLE_PIXELS + pitch) + TITLE_PIXELS
        middle = top + tile / 2
        axes.text(
            MARGIN_PIXELS / 2, middle, title, rotation=90, fontsize=8, ha="center", va="center"
        )
        for j, panel in enumerate(row):
            left = MARGIN_PIXELS + j * pitch
            centre, bottom = left + tile / 2, top - GAP_PIXELS
            canvas[top : top + tile, left : left + tile] = _draw_panel(panel, tile)
            axes.text(centre, bottom, panel.title, fontsize=8, ha="center")
    _show(axes, canvas)
    return figure


def channels(maps: Tensor, columns: int = 16) -> Figure:
    """Draw every channel of one step's map, each scaled from its own minimum to its maximum.

    Args:
        maps: ``(1, channels, *spatial)``.
        columns: number of channels in a row; the number of its first channel stands on its left.
    """
    side, gap = TILE_PIXELS // 4, GAP_PIXELS // 4
    count = maps.shape[1]
    rows = -(-count // columns)
    canvas = np.ones((rows * (side + gap), MARGIN_PIXELS + columns * (side + gap), 3))
    for number in range(count):
        row, column = divmod(number, columns)
        top, left = row * (side + gap), MARGIN_PIXELS + column * (side + gap)
        tile = stretched(resize_map(maps[0, number], side)).numpy(force=True)
        canvas[top : top + side, left : left + side] = colormaps["viridis"](tile)[..., :3]
    figure, axes = _make_canvas(canvas.shape[1], len(canvas))
    _show(axes, canvas)
    for first in range(0, count, columns):
        middle = first // columns * (side + gap) + side / 2
        axes.text(MARGIN_PIXELS / 2, middle, str(first), fontsize=8, ha="center", va="center")
    return figure


def _make_canvas(width: int, height: int) -> tuple[Figure, Axes]:
    """Return a figure of this size with one axes, since many axes take minutes to lay out."""
    figure = Figure((width / DPI, height / DPI), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    return figure, axes


def _show(axes: Axes, pixels: NDArray[np.float64]) -> None:
    """Draw pixels on a canvas of the same size, one to one."""
    height, width = pixels.shape[:2]
    axes.imshow(pixels, interpolation="none", extent=(0, width, height, 0), aspect="auto")
    axes.set(xlim=(0, width), ylim=(height, 0))


def _draw_panel(panel: Panel, tile: int) -> NDArray[np.float64]:
    """Return the colours of a panel, ``(tile, tile, 3)``."""
    grey = stretched(resize_map(panel.pixels.float(), tile)).numpy(force=True)
    drawn = colormaps[panel.colours](grey)[..., :3]
    if panel.heat is None:
        return drawn
    heat = resize_map(panel.heat.float(), tile).numpy(force=True)
    # a quantile, since single bright pixels would darken all others; negative heat stays clear
    full = max(np.quantile(heat, 0.995), heat.max() / 20, 1e-12)
    strength = (heat / full).clip(0, 1)
    cover = 0.75 * strength[..., None] ** 0.5
    return (1 - cover) * drawn + cover * colormaps["inferno"](strength)[..., :3]


def latent_scatter(
    places: NDArray[np.float64],
    clusters: Clusters,
    groups: Sequence[str],
    axis: str = "principal axis",
) -> Figure:
    """Draw the images in two dimensions, coloured by cluster and by group.

    Args:
        places: ``(N, 2)`` or more columns; the first two are drawn.
        clusters: clusters of the images.
        groups: group of each image; with one group alone only the clusters are drawn.
        axis: name of the axes.
    """
    by_cluster = [f"cluster {number + 1}" for number in clusters.of_image]
    colourings = [("clusters", by_cluster)]
    colourings += [("groups", list(groups))] if len(set(groups)) > 1 else []
    figure = Figure((5.2 * len(colourings), 4.2), layout="constrained")
    for axes, (title, names) in zip(
        figure.subplots(1, len(colourings), squeeze=False)[0], colourings, strict=True
    ):
        for name in sorted(set(names)):
            chosen = np.array(names) == name
            axes.scatter(*places[chosen, :2].T, s=11, alpha=0.75, label=name)
        axes.set(title=title, xlabel=f"{axis} 1", ylabel=f"{axis} 2")
        axes.legend(frameon=False, fontsize=8)
    return figure


def silhouette_curve(silhouettes: Mapping[int, float], chosen: int) -> Figure:
    """Draw the silhouette against the number of clusters."""
    figure = Figure((4.4, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(list(silhouettes), list(silhouettes.values()), marker="o", color="#3a6ea5")
    axes.axvline(chosen, color="0.4", linestyle=":")
    axes.set(xlabel="clusters", ylabel="silhouette", xticks=list(silhouettes))
    axes.grid(alpha=0.25)
    return figure


def as_png(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=DPI, format="png")
    return buffer.getvalue()


def as_grey(image: Tensor) -> Tensor:
    """Return the mean over an image's channels, to draw: ``(C, *spatial)`` to ``spatial``."""
    return torch.as_tensor(image).float().mean(0)
