"""One page that a person reads after an evaluation; a single file that needs no network."""

import base64
import io
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from pipeline.data.files import atomic
from pipeline.evaluation.cases import Case
from pipeline.evaluation.overlap import METRICS
from pipeline.evaluation.overlays import overlay
from pipeline.evaluation.threshold import Curve

History = Mapping[str, Sequence[tuple[int, float]]]
"""Metric name to its (epoch, value) pairs."""

TRAIN, VALIDATION = "#3a6ea5", "#c8553d"


class Report(NamedTuple):
    """What a report shows.

    Attributes:
        found: the summary: split, threshold, test, baselines, model, versions.
        rows: the per-image table.
        cases: the images, in the order of the rows.
        curve: the metric against the threshold on validation.
        history: the training's metrics of every epoch; empty when unknown.
    """

    found: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    cases: Sequence[Case]
    curve: Curve
    history: History


def write_report(path: Path, report: Report) -> None:
    """Write the page, pictures and style inside it."""
    source = files("pipeline.evaluation").joinpath("report.html.jinja").read_text("utf-8")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        source
    )
    page = template.render(
        found=report.found,
        rows=report.rows,
        metrics=list(report.found["test"]),
        training=_training_curves(report.history) if report.history else None,
        threshold=_threshold_curve(report),
        overlays=_chosen_overlays(report),
    )
    with atomic(path) as temporary:
        temporary.write_text(page, "utf-8")


def _training_curves(history: History) -> str:
    """Draw loss, IoU and accuracy of training and validation against the epoch."""
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, 3), ("loss", "iou", "accuracy"), strict=True):
        for split, colour in (("train", TRAIN), ("val", VALIDATION)):
            points = history.get(f"{split}_{name}", ())
            if points:
                axes.plot(*zip(*points, strict=True), color=colour, label=split, linewidth=1.5)
        axes.set(title=name, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize=8)
    return _as_svg(figure)


def _threshold_curve(report: Report) -> str:
    metric, threshold = report.found["threshold_metric"], report.found["threshold"]
    figure = Figure(figsize=(4.4, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(report.curve.thresholds, report.curve.values(metric), color=VALIDATION)
    axes.axvline(threshold, color="0.4", linestyle=":", label=f"{threshold:.3f}")
    axes.set(xlabel="threshold", ylabel=f"validation {metric}")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return _as_svg(figure)


def _as_svg(figure: Figure) -> str:
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "unet-school"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def _chosen_overlays(report: Report) -> list[dict[str, Any]]:
    """Choose the worst, the median and the best case by the first metric, each once."""
    metric = next(iter(METRICS))
    order = sorted(range(len(report.rows)), key=lambda i: report.rows[i][metric])
    places = {"worst": 0, "median": len(order) // 2, "best": len(order) - 1}
    return [
        {
            "title": title,
            "row": report.rows[order[place]],
            "picture": _picture(report.cases[order[place]], report.found["threshold"]),
        }
        for title, place in places.items()
        if title == "worst" or place > 0
    ]


def _picture(case: Case, threshold: float) -> str:
    buffer = io.BytesIO()
    pixels = overlay(case.image, case.probability, case.truth, threshold)
    Image.fromarray(pixels).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
