"""Calibrating outer contours on validation, and scoring them on test."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pipeline.evaluation.cases import Case
from pipeline.evaluation.threshold import ThresholdCurve
from pipeline.inference.outer_contour import OuterContour, OuterThreshold
from pipeline.inference.structures import FOREGROUND
from pipeline.metrics.risk_control import controlled_level
from pipeline.metrics.statistics import bootstrap_interval, patients_of

Losses = dict[str, NDArray[np.float64]]
"""Of each label, ``(patients, 256)``: the missed share of its pixels at each threshold k / 255."""


class OuterScore(BaseModel):
    """The outer contour of a label on cases that did not calibrate it.

    Attributes:
        label: its name.
        missed: share of the pixels that it misses, the mean over patients.
        low: end of its 95 % interval over patients; None of a single one.
        high: other end.
        patients: who have the structure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    label: str
    missed: float
    low: float | None
    high: float | None
    patients: int


def calibrated(
    cases: Sequence[Case], missed: float, tta_versions: int, labels: Sequence[str] = ()
) -> OuterContour:
    """Return the outer contours whose patients miss at most a share of a structure in expectation.

    The loss is the share of a patient's pixels of the structure, over all images, that are below
    the threshold; a patient who has none of it is left out. The threshold is that of
    :func:`pipeline.metrics.risk_control.controlled_level`.

    Args:
        cases: of validation.
        missed: bound of the share.
        tta_versions: symmetries that their probabilities are the mean of.
        labels: names of the labels; none: the one is foreground.
    """
    losses = missed_shares(cases, labels)
    own = {name: _outer_threshold(values, missed) for name, values in losses.items()}
    return OuterContour(missed=missed, tta_versions=tta_versions, labels=own)


def _outer_threshold(losses: NDArray[np.float64], missed: float) -> OuterThreshold:
    level = controlled_level(losses, missed) if len(losses) else None
    # at 0 the contour is the whole image
    threshold = float(ThresholdCurve.thresholds[level]) if level else None
    return OuterThreshold(threshold=threshold, patients=len(losses))


def outer_scores(
    cases: Sequence[Case], outer: OuterContour, labels: Sequence[str] = ()
) -> list[OuterScore]:
    """Return what the outer contours miss of further cases, of labels that have a contour.

    Args:
        cases: that did not calibrate them.
        outer: the contours.
        labels: names of the labels; none: the one is foreground.
    """
    losses = missed_shares(cases, labels)
    having = {name: t for name, t in outer.thresholds().items() if len(losses[name])}
    return [_score(name, losses[name], threshold) for name, threshold in having.items()]


def _score(label: str, losses: NDArray[np.float64], threshold: float) -> OuterScore:
    level = int(np.argmin(np.abs(ThresholdCurve.thresholds - threshold)))
    interval = bootstrap_interval(losses[:, level])
    return OuterScore(
        label=label,
        missed=round(interval.mean, 6),
        low=None if interval.low is None else round(interval.low, 6),
        high=None if interval.high is None else round(interval.high, 6),
        patients=interval.patients,
    )


def missed_shares(cases: Sequence[Case], labels: Sequence[str] = ()) -> Losses:
    """Return the share of each patient's structures that each threshold misses.

    Args:
        cases: with their truth.
        labels: names of the labels; none: the one is foreground.
    """
    names = list(labels) or [FOREGROUND]
    missed: dict[str, dict[Hashable, NDArray[np.int64]]] = {name: {} for name in names}
    patients = patients_of([case.columns for case in cases])
    for case, patient in zip(cases, patients, strict=True):
        curve = ThresholdCurve()
        for name, probability, truth in zip(names, case.probability, case.truth, strict=True):
            curve.add(probability, truth)
            structure, _ = curve.histograms[-1]
            missed[name][patient] = missed[name].get(patient, 0) + structure
    return {name: _losses(list(own.values())) for name, own in missed.items()}


def _losses(histograms: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Return the share of the pixels below each level; patients without any are left out."""
    stacked = np.array(histograms, np.float64)
    having = stacked[stacked.sum(axis=1) > 0]
    below = np.cumsum(having, axis=1) - having
    shares: NDArray[np.float64] = below / having.sum(axis=1, keepdims=True)
    return shares
