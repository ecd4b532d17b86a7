"""A metric against the epoch: as a table of the means over the seeds, and as a picture."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.papers.configs import REDUCED
from pipeline.papers.recorded import NO_VALUE, Recorded
from pipeline.papers.results_table import row

PICTURE = "curves.svg"
"""File of the picture, beside the paper's records."""
METRIC_TITLES = {
    "accuracy": "Accuracy at 1/2", "iou": "IoU at 1/2", "dice": "Dice at 1/2", "loss": "Loss",
}  # fmt: skip
TABLE_EPOCHS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 60, 100)
"""Epochs in the table of a metric against the epoch; the last epoch is added."""
COLOURS = {"train": "#1f77b4", "validation": "#d95f02", "test": "#2a8a57"}
"""Colour of each split."""
COLUMNS = 3
"""Panels beside each other."""
LOW_START = 0.2
"""Share of a training at its beginning that may lie outside the picture."""
Curves = Sequence[Mapping[str, Any]]
"""Epochs and metrics of each seed."""


def curves_of_experiments(recorded: Recorded) -> dict[str, Curves]:
    """Return the curves of each experiment that has the paper's metric, by its title."""
    return {
        experiment.title: record["curves"]
        for experiment in recorded.paper.experiments
        if (record := recorded.records[experiment.name, REDUCED]) and record["curves"]
    }


def curves_lines(recorded: Recorded) -> Iterator[str]:
    """Yield the lines of the picture and of the table; none where nothing is recorded."""
    curves = curves_of_experiments(recorded)
    if not curves:
        return
    metric = METRIC_TITLES[recorded.paper.curve_metric]
    what = f"train: of the augmented batches; the first {LOW_START:.0%} may lie outside the picture"
    yield f"{metric} against epoch, at reduced scale ({what}):"
    yield ""
    alt = f"{metric} against epoch of {', '.join(curves)}; a thin line is a seed, a bold one a mean"
    yield f"![{alt}](results/{recorded.paper.name}/{PICTURE})"
    yield ""
    last = max(of_seeds[0]["epoch"][-1] for of_seeds in curves.values())
    epochs = sorted({*(epoch for epoch in TABLE_EPOCHS if epoch < last), last})
    yield row(["", "split", *map(str, epochs)])
    yield f"|---|---|{'---|' * len(epochs)}"
    for title, of_seeds in curves.items():
        for split in _splits(of_seeds, recorded.paper.curve_metric):
            means = _means(of_seeds, f"{split}_{recorded.paper.curve_metric}")
            cells = [f"{means[e]:.4f}" if e in means else NO_VALUE for e in epochs]
            yield row([title if split == "train" else "", split, *cells])
    yield ""


def curves_picture(recorded: Recorded) -> str | None:
    """Draw one panel for each experiment, the same bytes each time; None: nothing is recorded."""
    curves = curves_of_experiments(recorded)
    if not curves:
        return None
    columns = min(COLUMNS, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.7 * rows), layout="constrained", facecolor="white")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, (title, of_seeds) in zip(panels, curves.items(), strict=False):
        _draw(axes, of_seeds, recorded.paper.curve_metric)
        axes.set_title(title, fontsize=10)
    panels[0].set_ylim(visible_range(curves.values(), recorded.paper.curve_metric))
    for axes in panels[len(curves) :]:
        axes.remove()
    named = {line.get_label(): line for axes in panels for line in axes.get_lines()}
    lines = {split: named[split] for split in COLOURS if split in named}
    figure.legend(
        lines.values(), lines, loc="outside upper center", ncols=3, fontsize=9, frameon=False
    )
    figure.supxlabel("epoch", fontsize=10)
    figure.supylabel(METRIC_TITLES[recorded.paper.curve_metric], fontsize=10)
    return _as_svg(figure)


def visible_range(curves: Iterable[Curves], metric: str) -> tuple[float, float] | None:
    """Return the ends of the axis of a metric: all its values but those of a low start.

    Args:
        curves: of each experiment.
        metric: without the name of a split.

    Example:
        >>> seed = {"epoch": [1, 3, 10], "train_iou": [0.1, 0.5, 0.9]}
        >>> low, high = visible_range([[seed]], "iou")
        >>> round(low, 2), round(high, 2)
        (0.48, 0.92)
    """
    values = [
        value
        for of_seeds in curves
        for of_seed in of_seeds
        for split in _splits(of_seeds, metric)
        for epoch, value in _points(of_seed, f"{split}_{metric}").items()
        if epoch > LOW_START * of_seed["epoch"][-1]
    ]
    if not values:
        return None
    margin = 0.05 * (max(values) - min(values))
    return min(values) - margin, max(values) + margin


def _draw(axes: Axes, of_seeds: Curves, metric: str) -> None:
    for split in _splits(of_seeds, metric):
        name, colour = f"{split}_{metric}", COLOURS[split]
        for of_seed in of_seeds if len(of_seeds) > 1 else ():
            points = _points(of_seed, name)
            axes.plot(list(points), list(points.values()), color=colour, linewidth=0.7, alpha=0.5)
        means = _means(of_seeds, name)
        marker = "o" if len(means) <= 2 else None  # a line between two points shows no course
        axes.plot(
            list(means), list(means.values()), marker=marker, color=colour, label=split, linewidth=2
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)


def _splits(of_seeds: Curves, metric: str) -> list[str]:
    return [split for split in COLOURS if any(f"{split}_{metric}" in seed for seed in of_seeds)]


def _points(of_seed: Mapping[str, Any], name: str) -> dict[int, float]:
    """Return the recorded value of each epoch of a seed."""
    pairs = zip(of_seed["epoch"], of_seed.get(name, ()), strict=False)
    return {epoch: value for epoch, value in pairs if value is not None}


def _means(of_seeds: Curves, name: str) -> dict[int, float]:
    """Return the mean over the seeds of each epoch that any of them recorded."""
    points = [_points(of_seed, name) for of_seed in of_seeds]
    epochs = sorted({epoch for of_seed in points for epoch in of_seed})
    values = {epoch: [seed[epoch] for seed in points if epoch in seed] for epoch in epochs}
    return {epoch: sum(of_epoch) / len(of_epoch) for epoch, of_epoch in values.items()}


def _as_svg(figure: Figure) -> str:
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "unet-school"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    lines = (line.rstrip() for line in text.getvalue().splitlines())
    return "\n".join(lines) + "\n"
