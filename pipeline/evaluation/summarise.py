"""Putting the scores of cases together: means, pooled values, baselines, groups."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from pipeline.data.columns import check_columns, check_list
from pipeline.data.datalist import load_split, read_datalist
from pipeline.data.readers import read_pixels
from pipeline.evaluation.baselines import (
    Pair,
    average_mask,
    best_intensity_scores,
    constant_answer,
    fixed_answer,
)
from pipeline.evaluation.cases import (
    Case,
    Row,
    Scoring,
    outcomes,
    pooled,
    score_names,
    summarise_scores,
)
from pipeline.evaluation.groups import binned, check_metric, gaps, group_table, running_mean
from pipeline.evaluation.overlays import stretched
from pipeline.evaluation.summary import GapScore, GroupComparison, GroupScore
from pipeline.evaluation.volumes import MeasuredCase
from pipeline.metrics.calibration import Calibration
from pipeline.metrics.instances import per_hundred_touching
from pipeline.metrics.isbi import IsbiCurve
from transforms.whole_numbers import whole_numbers

AGE_WINDOW_YEARS = 10.0
"""Over which the curve over age is averaged, and the width of its bins."""


class Groups(NamedTuple):
    """By what cases are grouped.

    Attributes:
        columns: of the datalist, as ``sex`` and ``finding``.
        age: a column of numbers along which a curve is drawn.
        metric: that is compared.
    """

    columns: Sequence[str] = ()
    age: str | None = None
    metric: str = "iou"


def summarise_cases(
    cases: Sequence[Case], rows: Sequence[Row], scoring: Scoring, measured: Sequence[MeasuredCase]
) -> dict[str, Any]:
    """Put the scores together: means with intervals, pooled values, misses, calibration.

    Args:
        cases: that were scored.
        rows: their scores.
        scoring: by which.
        measured: their counted pixels.

    Returns:
        Fields of :class:`pipeline.evaluation.summary.EvaluationSummary`.
    """
    calibration = Calibration()
    for case in cases:
        calibration.add(case.probability, case.truth)
    together = pooled(case.counts for case in measured)
    together |= {"ece_pooled": calibration.ece(), "brier_pooled": calibration.brier()}
    if scoring.operating_point.instances is not None:
        together |= per_hundred_touching(rows)
    fields: dict[str, Any] = {
        "test": summarise_scores(rows, names_of_scores(cases, rows)),
        "test_pooled": together,
        "outcomes": outcomes(rows),
        "calibration": calibration.curve().tolist(),
    }
    if scoring.isbi:
        curve = IsbiCurve()
        for case in cases:
            curve.add(case.probability[0].numpy(), case.truth[0].numpy() > 0)
        fields["isbi_best_threshold_on_test"] = curve.best()
    return fields


def names_of_scores(cases: Sequence[Case], rows: Sequence[Row]) -> list[str]:
    """Return the names of the scores in the per-image table of cases."""
    return score_names(rows, {name for case in cases for name in case.columns})


def baselines(cases: Sequence[Case], dataset_dir: str) -> dict[str, dict[str, float]]:
    """Score what needs no network on the same cases."""
    scores = {"all foreground": constant_answer(_pairs(cases))}
    mean = mean_training_mask(cases, dataset_dir)
    if mean is not None:
        scores["mean of the training masks"] = fixed_answer(mean, (case.truth[0] for case in cases))
    scores["best intensity threshold, chosen on test"] = best_intensity_scores(_pairs(cases))
    return scores


def _pairs(cases: Sequence[Case]) -> Iterator[Pair]:
    """Yield the image and the mask of each label; one case is in memory at a time."""
    for case in cases:
        image = 255 * stretched(case.image)  # no threshold notices that it is stretched
        yield from ((image, truth) for truth in case.truth)


def mean_training_mask(cases: Sequence[Case], dataset_dir: str) -> torch.Tensor | None:
    """Return one mask for all; None unless one label, and all images flat and of one size."""
    shapes = {tuple(case.truth.shape) for case in cases}
    if len(shapes) > 1 or len(cases[0].truth) > 1 or cases[0].truth.ndim > 3:
        return None  # volumes may be stored in other axes than they are scored in
    ignore = read_datalist(dataset_dir).ignore
    labels = (
        whole_numbers(read_pixels(Path(entry["label"]), label=True).array)
        for entry in load_split(dataset_dir, "training")
    )
    masks = [torch.from_numpy((label != 0) & (label != ignore)) for label in labels]
    if {tuple(mask.shape) for mask in masks} != {tuple(cases[0].truth.shape[1:])}:
        return None
    return average_mask(masks)


def compare_groups_of(rows: Sequence[Row], groups: Groups) -> GroupComparison:
    """Compare groups of cases, and draw the metric along age.

    A column that cannot group (an image lacks it, all have one value) is left out, and
    ``left_out`` says why: the scores are worth having without it.

    Raises:
        ValueError: one word in place of a list of columns, or an unknown metric.
    """
    check_list("group_columns", groups.columns)
    ages = [] if groups.age is None else [groups.age]
    metric = groups.metric
    if groups.columns or ages:
        check_metric(rows, metric)
    columns, left_out = _grouping(rows, groups.columns)
    fields: dict[str, Any] = {}
    if columns:
        fields["groups"] = [
            GroupScore(**group.values, **group.interval._asdict(), enough=group.enough)
            for group in group_table(rows, columns, metric)
        ]
        fields["gaps"] = [
            GapScore(**gap._asdict(), verdict=gap.verdict()) for gap in gaps(rows, columns, metric)
        ]
    ages, reasons = _grouping(rows, ages)
    for age in ages:
        fields["age"] = running_mean(rows, age, metric, AGE_WINDOW_YEARS)
        fields["age_bins"] = [
            GroupScore(**{"age": bin.values[age], **bin.interval._asdict(), "enough": bin.enough})
            for bin in binned(rows, age, metric, AGE_WINDOW_YEARS)
        ]
    return GroupComparison(group_metric=metric, left_out=[*left_out, *reasons], **fields)


def _grouping(rows: Sequence[Row], columns: Sequence[str]) -> tuple[list[str], list[str]]:
    """The columns that group the rows, and of the others why not."""
    grouping, left_out = [], []
    for name in columns:
        try:
            check_columns(rows, [name])
            grouping.append(name)
        except ValueError as error:
            left_out.append(str(error))
    return grouping, left_out
