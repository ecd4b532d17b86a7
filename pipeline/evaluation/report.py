"""One page that a person reads after an evaluation; a single file that needs no network."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from PIL import Image

from pipeline.evaluation.cases import Case, Scoring
from pipeline.evaluation.overlays import contours, overlay
from pipeline.evaluation.summary import CrossvalSummary, EvaluationSummary, GroupComparison
from pipeline.evaluation.threshold import Curve
from pipeline.files import atomic
from pipeline.metrics.overlap import METRICS
from pipeline.metrics.statistics import share_patients

History = Mapping[str, Sequence[tuple[int, float]]]
"""Metric name to its (epoch, value) pairs."""

TRAIN, VALIDATION = "#3a6ea5", "#c8553d"


class Report(NamedTuple):
    """What a report shows.

    Attributes:
        summary: of the evaluation.
        rows: the per-image table.
        names: of the scores in it.
        cases: the images, in the order of the rows.
        curve: the metric against the threshold on validation.
        history: the training's metrics of every epoch; empty when unknown.
        scoring: how the cases were scored.
    """

    summary: EvaluationSummary
    rows: Sequence[Mapping[str, Any]]
    names: Sequence[str]
    cases: Sequence[Case]
    curve: Curve
    history: History
    scoring: Scoring


def write_report(path: Path, report: Report) -> None:
    """Write the page, pictures and style inside it."""
    page = _template("report.html.jinja").render(
        summary=report.summary,
        rows=report.rows,
        names=report.names,
        patients_known=share_patients(report.rows),
        unit="patients" if share_patients(report.rows) else "images",
        columns=list(dict.fromkeys(name for case in report.cases for name in case.columns)),
        metrics=list(METRICS),
        training=_training_curves(report.history) if report.history else None,
        threshold=_threshold_curve(report),
        calibration=_calibration_curve(report.summary.calibration),
        age=_age_curve(report.summary),
        overlays=_chosen_overlays(report),
    )
    with atomic(path) as temporary:
        temporary.write_text(page, "utf-8")


def write_crossval_report(
    path: Path, summary: CrossvalSummary, columns: Sequence[str], patients_known: bool
) -> None:
    """Write the page of a cross-validation.

    Args:
        path: of the page.
        summary: of the folds.
        columns: of the groups.
        patients_known: whether images are known to be of one patient.
    """
    page = _template("crossval.html.jinja").render(
        summary=summary,
        columns=columns,
        patients_known=patients_known,
        unit="patients" if patients_known else "images",
        metrics=list(METRICS),
        age=_age_curve(summary),
    )
    with atomic(path) as temporary:
        temporary.write_text(page, "utf-8")


def _template(name: str) -> jinja2.Template:
    loader = jinja2.PackageLoader("pipeline.evaluation", "")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template(name)


def _training_curves(history: History) -> str:
    """Draw loss, IoU and accuracy of training and validation against the epoch."""
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, 3), ("loss", "iou", "accuracy"), strict=True):
        for split, colour in (("train", TRAIN), ("val", VALIDATION)):
            points = history.get(f"{split}_{name}", ())
            if points:
                marker = "o" if len(points) == 1 else None  # one point makes no line
                epochs, values = zip(*points, strict=True)
                axes.plot(epochs, values, marker=marker, color=colour, label=split, linewidth=1.5)
        axes.set(title=name, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize=8)
    return _as_svg(figure)


def _threshold_curve(report: Report) -> str:
    metric = report.summary.threshold_metric
    threshold = report.summary.operating_point.threshold
    figure = Figure(figsize=(4.4, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(report.curve.thresholds, report.curve.values(metric), color=VALIDATION)
    axes.axvline(threshold, color="0.4", linestyle=":", label=f"{threshold:.3f}")
    axes.set(xlabel="threshold", ylabel=f"validation {metric}")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return _as_svg(figure)


def _calibration_curve(curve: Sequence[Sequence[float]]) -> str:
    """Draw the share of foreground against the predicted probability, and how many pixels each."""
    predicted, foreground, pixels = curve
    figure = Figure(figsize=(4.4, 3.2), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    axes.plot([0, 1], [0, 1], color="0.6", linestyle=":")
    axes.plot(predicted, foreground, color=TRAIN, marker="o", markersize=3)
    axes.set(ylabel="share of foreground", ylim=(0, 1))
    below.bar(predicted, pixels, width=0.04, color=TRAIN)
    below.set(xlabel="predicted probability", ylabel="pixels", yscale="log", xlim=(0, 1))
    below.yaxis.set_minor_formatter(NullFormatter())  # within one decade they would overlap
    axes.grid(alpha=0.25)
    return _as_svg(figure)


def _age_curve(comparison: GroupComparison) -> str | None:
    """Draw the size of each age and the running mean of the metric; None without ages."""
    if comparison.age is None:
        return None
    ages, sizes, means = zip(*comparison.age, strict=True)
    figure = Figure(figsize=(6.4, 2.8), layout="constrained")
    axes = figure.subplots()
    axes.bar(ages, sizes, color="0.8")
    axes.set(xlabel="age", ylabel="images")
    right = axes.twinx()
    right.plot(ages, means, color=VALIDATION)
    right.set_ylabel(f"running mean {comparison.group_metric}")
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
    places = {"worst": 0, "best": len(order) - 1, "median": len(order) // 2}
    titles = {place: title for title, place in reversed(places.items())}  # each case once
    return [
        {
            "title": title,
            "row": report.rows[order[place]],
            **_pictures(report.cases[order[place]], report.scoring),
        }
        for place, title in sorted(titles.items())
    ]


def _pictures(case: Case, scoring: Scoring) -> dict[str, str]:
    masks = torch.from_numpy(scoring.masks_of(case)[0])
    return {
        "picture": _as_png(overlay(case.image, case.probability, case.truth, masks)),
        "contours": _as_png(contours(case.image, case.truth, masks)),
    }


def _as_png(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
