"""One page that a person looks at after an evaluation; a single file that needs no network."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from pipeline.evaluation.cases import Case, Scoring
from pipeline.evaluation.classes import class_table
from pipeline.evaluation.score_words import in_words, no_interval, seen_first
from pipeline.evaluation.shown_cases import ShownCase, shown_cases
from pipeline.evaluation.summary import CrossvalSummary, EvaluationSummary, GroupComparison
from pipeline.evaluation.threshold import Curve, ThresholdCurve
from pipeline.evaluation.verdict import Remark, verdict
from pipeline.evaluation.volumes import StructureVolume, by_structure
from pipeline.inference.operating_point import LabelOperatingPoint
from pipeline.metrics.agreement import bland_altman
from pipeline.metrics.overlap import METRICS
from pipeline.metrics.statistics import share_patients
from pipeline.pages import write_page
from pipeline.pages.drawings import as_svg

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
        labels: names of the network's labels.
        crossval: the command that cross-validates the bundle.
        volumes: predicted and true sizes of the cases' structures.
    """

    summary: EvaluationSummary
    rows: Sequence[Mapping[str, Any]]
    names: Sequence[str]
    cases: Sequence[Case]
    curve: Curve
    history: History
    scoring: Scoring
    labels: Sequence[str] = ()
    crossval: str = ""
    volumes: Sequence[StructureVolume] = ()


def write_report(path: Path, report: Report) -> None:
    """Write the page, pictures and style inside it."""
    shown = shown_cases(report.cases, report.rows, report.scoring, report.labels)
    labels = report.scoring.labels
    write_page(
        path,
        "pipeline.evaluation",
        "report.html.jinja",
        **_common(report.summary, share_patients(report.rows), labels),
        **_seen_first(verdict(report.summary, report.crossval), shown),
        rows=report.rows,
        names=report.names,
        columns=list(dict.fromkeys(name for case in report.cases for name in case.columns)),
        classes=class_table(report.summary, report.rows, labels),
        volume_plots=_volume_plots(report.volumes),
        training=_training_curves(report.history) if report.history else [],
        threshold=_threshold_curve(report),
        calibration=_calibration_curve(report.summary.calibration),
    )


def write_crossval_report(
    path: Path,
    summary: CrossvalSummary,
    columns: Sequence[str],
    patients_known: bool,
    shown: Sequence[ShownCase],
    volumes: Sequence[StructureVolume] = (),
) -> None:
    """Write the page of a cross-validation.

    Args:
        path: of the page.
        summary: of the folds.
        columns: of the groups.
        patients_known: whether images are known to be of one patient.
        shown: the best, the median and the worst case.
        volumes: predicted and true sizes of the cases' structures.
    """
    write_page(
        path,
        "pipeline.evaluation",
        "crossval.html.jinja",
        **_common(summary, patients_known, ()),
        **_seen_first(verdict(summary), shown),
        columns=columns,
        volume_plots=_volume_plots(volumes),
    )


def _volume_plots(volumes: Sequence[StructureVolume]) -> list[str]:
    return [volume_plot(own) for own in by_structure(volumes)]


def _seen_first(remarks: Sequence[Remark], shown: Sequence[ShownCase]) -> dict[str, Any]:
    """What stands before the scores."""
    return {
        "verdict": remarks,
        "shown": shown,
        "scrolls_volumes": any(case.volume for case in shown),
    }


def _common(
    summary: EvaluationSummary | CrossvalSummary, patients_known: bool, labels: Sequence[str]
) -> dict[str, Any]:
    """What the pages of an evaluation and of a cross-validation both show."""
    first = next(iter(summary.test.values()))
    return {
        "summary": summary,
        "patients_known": patients_known,
        "unit": "patients" if patients_known else "images",
        "has_intervals": first.low is not None,
        "no_interval": no_interval(first),
        "metrics": list(METRICS),
        "first": seen_first(summary.test),
        "in_words": lambda name: in_words(name, labels),
        "age": _age_curve(summary),
    }


def _training_curves(history: History) -> list[str]:
    """Draw loss, IoU and accuracy of training and validation against the epoch."""
    return [_training_curve(history, name) for name in ("loss", "iou", "accuracy")]


def _training_curve(history: History, name: str) -> str:
    figure = Figure(figsize=(3.6, 2.6), layout="constrained")
    axes = figure.subplots()
    for split, colour in (("train", TRAIN), ("val", VALIDATION)):
        points = history.get(f"{split}_{name}", ())
        if points:
            marker = "o" if len(points) == 1 else None  # one point makes no line
            epochs, values = zip(*points, strict=True)
            axes.plot(epochs, values, marker=marker, color=colour, label=split, linewidth=1.5)
            axes.legend(frameon=False, fontsize=8)
    axes.set(title=name, xlabel="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    return as_svg(figure)


def _threshold_curve(report: Report) -> str:
    metric = report.summary.threshold_metric
    threshold = report.summary.operating_point.threshold
    figure = Figure(figsize=(4.4, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(report.curve.thresholds, report.curve.values(metric), color=VALIDATION)
    axes.axvline(threshold, color="0.4", linestyle=":", label=f"{threshold:.3f}")
    for name, of_label, point in _label_curves(report):
        (line,) = axes.plot(of_label.thresholds, of_label.values(metric), linewidth=0.8)
        label = f"{name} {point.threshold:.3f}"
        axes.axvline(point.threshold, color=line.get_color(), linestyle=":", label=label)
    axes.set(xlabel="threshold", ylabel=f"validation {metric}")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return as_svg(figure)


def _label_curves(report: Report) -> Iterator[tuple[str, Curve, LabelOperatingPoint]]:
    """Return the curves of the labels that have an operating point of their own."""
    if isinstance(report.curve, ThresholdCurve):
        for place, name in enumerate(report.labels):
            if point := report.summary.operating_point.by_label.get(name):
                yield name, report.curve.of_label(place, len(report.labels)), point


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
    return as_svg(figure)


def volume_plot(volumes: Sequence[StructureVolume]) -> str:
    """Draw the errors of a structure's sizes against the mean of both sizes (Bland and Altman)."""
    agreement = bland_altman([volume.error for volume in volumes])
    figure = Figure(figsize=(4.4, 3.0), layout="constrained")
    axes = figure.subplots()
    means = [(volume.predicted + volume.true) / 2 for volume in volumes]
    axes.plot(means, [volume.error for volume in volumes], "o", color=TRAIN, markersize=4)
    axes.axhline(agreement.bias, color=VALIDATION, label=f"bias {agreement.bias:+.3g}")
    if agreement.low is not None and agreement.high is not None:
        ends = f"limits {agreement.low:+.3g} to {agreement.high:+.3g}"
        axes.axhline(agreement.low, color=VALIDATION, linestyle=":", label=ends)
        axes.axhline(agreement.high, color=VALIDATION, linestyle=":")
    unit = volumes[0].unit.replace("mm2", "mm²")
    axes.set(title=volumes[0].structure, xlabel=f"mean of predicted and true, {unit}")
    axes.set_ylabel(f"predicted - true, {unit}")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)
    return as_svg(figure)


def _age_curve(comparison: GroupComparison) -> str | None:
    """Draw the size of each age and the running mean of the metric; None without ages."""
    if comparison.age is None:
        return None
    ages, sizes, means = zip(*comparison.age, strict=True)
    figure = Figure(figsize=(4.8, 2.8), layout="constrained")
    axes = figure.subplots()
    axes.bar(ages, sizes, color="0.8")
    axes.set(xlabel="age", ylabel="images")
    right = axes.twinx()
    right.plot(ages, means, color=VALIDATION)
    right.set_ylabel(f"running mean {comparison.group_metric}")
    return as_svg(figure)
