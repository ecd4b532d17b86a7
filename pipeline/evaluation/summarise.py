"""What an evaluation tells of its cases together."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from pipeline.data.image_statistics import read_pixels
from pipeline.evaluation.baselines import (
    average_mask,
    best_intensity_threshold,
    constant_answer,
    fixed_answer,
)
from pipeline.metrics.calibration import Calibration
from pipeline.evaluation.cases import Case, Row, Scoring, outcomes, pooled, summary
from pipeline.evaluation.groups import (
    binned,
    check_columns,
    check_list,
    check_metric,
    gaps,
    group_table,
    running_mean,
)
from pipeline.metrics.instances import per_hundred_touching
from pipeline.metrics.isbi import IsbiCurve
from pipeline.evaluation.overlays import stretched
from pipeline.training.data import load_split

AGE_WINDOW = 10.0
"""Years over which the curve over age is averaged, and of its bins."""


class Groups(NamedTuple):
    """By what the test cases are grouped.

    Attributes:
        columns: of the datalist, as ``sex`` and ``finding``.
        age: a column of numbers along which a curve is drawn.
        metric: what is compared.
    """

    columns: Sequence[str] = ()
    age: str | None = None
    metric: str = "iou"


def scored(
    cases: Sequence[Case],
    rows: Sequence[Row],
    names: Sequence[str],
    scoring: Scoring,
) -> dict[str, Any]:
    """Put the scores together: means with intervals, pooled values, misses, calibration."""
    calibration = Calibration()
    for case in cases:
        calibration.add(case.probability, case.truth)
    together = pooled(cases, scoring)
    together |= {"ece_pooled": calibration.ece(), "brier_pooled": calibration.brier()}
    if scoring.find_instances is not None:
        together |= per_hundred_touching(rows)
    found = {
        "test": summary(rows, names),
        "test_pooled": together,
        "outcomes": outcomes(rows),
        "calibration": calibration.curve().tolist(),
    }
    if scoring.isbi:
        curve = IsbiCurve()
        for case in cases:
            curve.add(case.probability[0].numpy(), case.truth[0].numpy() != 0)
        found["isbi_best_threshold_on_test"] = curve.best()
    return found


def baselines(cases: Sequence[Case], dataset_dir: str) -> dict[str, dict[str, float]]:
    """Score what needs no network on the same cases."""
    # no threshold notices that a normalised image is stretched
    pairs = [(255 * stretched(case.image), truth) for case in cases for truth in case.truth]
    _, intensity = best_intensity_threshold(pairs)
    found = {"all foreground": constant_answer(pairs)}
    mean = mean_training_mask(cases, dataset_dir)
    if mean is not None:
        found["mean of the training masks"] = fixed_answer(mean, [truth for _, truth in pairs])
    found["best intensity threshold, chosen on test"] = {"accuracy": intensity}
    return found


def mean_training_mask(cases: Sequence[Case], dataset_dir: str) -> torch.Tensor | None:
    """Return one mask for all; None unless one label, and all images flat and of one size."""
    shapes = {tuple(case.truth.shape) for case in cases}
    if len(shapes) > 1 or len(cases[0].truth) > 1 or cases[0].truth.ndim > 3:
        return None  # volumes may be stored in other axes than they are scored in
    masks = [
        torch.from_numpy(read_pixels(Path(entry["label"])).array != 0)
        for entry in load_split(dataset_dir, "training")
    ]
    if {tuple(mask.shape) for mask in masks} != {tuple(cases[0].truth.shape[1:])}:
        return None
    return average_mask(masks)


def grouped(rows: Sequence[Row], groups: Groups) -> dict[str, Any]:
    """Compare groups of cases, and draw the metric along age.

    A column that cannot group (an image lacks it, all have one value) is left out, and
    ``left_out`` says why: the scores are worth having without it.

    Raises:
        ValueError: one word in place of a list of columns, or an unknown metric.
    """
    check_list("group_columns", groups.columns)
    ages = [] if groups.age is None else [groups.age]
    found: dict[str, Any] = {"group_metric": groups.metric}
    if groups.columns or ages:
        check_metric(rows, groups.metric)
    columns, found["left_out"] = _that_group(rows, groups.columns)
    if columns:
        found["groups"] = [
            {**each.values, **each.interval._asdict(), "enough": each.enough}
            for each in group_table(rows, columns, groups.metric)
        ]
        found["gaps"] = [
            {**gap._asdict(), "verdict": gap.verdict()}
            for gap in gaps(rows, columns, groups.metric)
        ]
    ages, why = _that_group(rows, ages)
    found["left_out"] += why
    for age in ages:
        found["age"] = running_mean(rows, age, groups.metric, AGE_WINDOW)
        found["age_bins"] = [
            {"age": each.values[age], **each.interval._asdict(), "enough": each.enough}
            for each in binned(rows, age, groups.metric, AGE_WINDOW)
        ]
    return found


def _that_group(rows: Sequence[Row], columns: Sequence[str]) -> tuple[list[str], list[str]]:
    """The columns that group the rows, and of the others why not."""
    kept, left_out = [], []
    for name in columns:
        try:
            check_columns(rows, [name])
            kept.append(name)
        except ValueError as error:
            left_out.append(str(error))
    return kept, left_out
