"""What an evaluation found, as its ``summary.json`` holds it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from pipeline.evaluation.cases import ScoreSummary
from pipeline.evaluation.outer_contour import OuterScore
from pipeline.evaluation.reference import ReferenceComparison
from pipeline.evaluation.review import ReviewScore
from pipeline.evaluation.score_words import no_interval
from pipeline.evaluation.volumes import VolumeAgreement
from pipeline.inference.engine import EngineTrial
from pipeline.inference.operating_point import OperatingPoint
from pipeline.inference.outer_contour import OuterContour
from pipeline.metrics.overlap import METRICS
from pipeline.metrics.statistics import independent_unit
from pipeline.progress import count
from pipeline.schemas import read_schema

SUMMARY = "summary.json"
GIVEN = "given"
"""Source of a threshold that nothing selected."""


class Schema(BaseModel):
    """A frozen schema that takes no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class GroupScore(BaseModel):
    """The score of a group; its further keys are the values of the group columns.

    Attributes:
        mean: of the metric, over the group's cases.
        low: end of its 95 % interval over patients; None of a single patient.
        high: other end.
        n: cases.
        patients: independent ones; an image of an unknown one counts as one.
        enough: whether there are patients enough to judge by.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    mean: float
    low: float | None
    high: float | None
    n: int
    patients: int
    enough: bool

    @property
    def values(self) -> dict[str, Any]:
        """The values of the group columns; a column that is absent stands for all its values."""
        return dict(self.model_extra or {})


class GapScore(Schema):
    """The difference between two values of a group column, see :class:`groups.Gap`."""

    column: str
    first: Any
    second: Any
    difference: float
    p: float | None
    verdict: str


class GroupComparison(Schema):
    """Groups of cases against each other.

    Attributes:
        group_metric: that is compared.
        left_out: why a column could not group.
        groups: from single columns to all combinations; None without columns.
        gaps: between each two values of a column.
        age: age, images of that age, mean around it; None without an age column.
        age_bins: means over bins of age.
    """

    group_metric: str
    left_out: list[str] = []
    groups: list[GroupScore] | None = None
    gaps: list[GapScore] | None = None
    age: list[tuple[float, int, float]] | None = None
    age_bins: list[GroupScore] | None = None


class ThresholdScore(Schema):
    """A score at the threshold that is best for it."""

    value: float
    threshold: float


class EvaluatedModel(Schema):
    """Which weights were evaluated, and what they were trained on.

    Attributes:
        path: of the weights.
        trained_images: number of images that it was trained on.
        validation_images: number of images that chose it.
    """

    path: str
    sha256: str
    bundle: str
    run_name: str
    mlflow_run_id: str | None
    datalist_sha256: str
    epoch: int | None
    key_metric: str
    key_metric_value: float | None
    tags: dict[str, str]
    trained_images: int
    validation_images: int


class Execution(Schema):
    """By which code and config, and where, an evaluation was made."""

    code: str
    config_sha256: str
    seed: int
    device: str


class EvaluationSummary(GroupComparison):
    """An evaluation: what was selected on validation, and the scores on test.

    Attributes:
        split: that was scored.
        operating_point: by which.
        threshold_metric: by which the threshold was selected.
        threshold_source: whether it was selected, given, or stored with the model.
        trials_on_validation: each alternative, with the metric that it had on validation.
        test: each score over cases.
        test_pooled: scores of all pixels of all cases taken together.
        outcomes: how many structures were found, missed, invented.
        volumes: predicted against true size of each structure.
        calibration: predicted probability, share of foreground, pixels; each a list over bins.
        isbi_best_threshold_on_test: as the ISBI 2012 challenge scores; None where not wanted.
        baselines: what needs no network, on the same cases.
        engines: of inference, as they were measured on validation.
        model: that was evaluated.
        evaluation: by what.
        versions: of Python and packages.
        outer: the outer contours as validation calibrated them; None: of an older evaluation.
        outer_test: what they miss of the test cases.
        review: how many of the worst test cases stand first in the review queue; None: there are
            too few.
        reference: the evaluation of the sender of a received bundle beside this one.
    """

    split: str
    operating_point: OperatingPoint
    threshold_metric: str
    threshold_source: str
    trials_on_validation: dict[str, dict[str, float]]
    test: dict[str, ScoreSummary]
    test_pooled: dict[str, float]
    outcomes: dict[str, int]
    volumes: list[VolumeAgreement] = []
    calibration: list[list[float]]
    isbi_best_threshold_on_test: dict[str, ThresholdScore] | None = None
    baselines: dict[str, dict[str, float]]
    engines: list[EngineTrial] = []
    outer: OuterContour | None = None
    outer_test: list[OuterScore] = []
    review: ReviewScore | None = None
    model: EvaluatedModel
    evaluation: Execution
    versions: dict[str, str]
    reference: ReferenceComparison | None = None

    @property
    def chosen_thresholds(self) -> list[float]:
        """The thresholds, unless they were given."""
        return [] if self.threshold_source == GIVEN else self.operating_point.thresholds()


class HeldOutScores(BaseModel):
    """A model on the test split that a cross-validation held out.

    Attributes:
        model: ``fold 0``, …, or ``ensemble``.
        test: each score over cases.
    """

    model: str
    test: dict[str, ScoreSummary]


class CrossvalSummary(GroupComparison):
    """A cross-validation: each case predicted by the model that never saw it.

    Attributes:
        split: ``out of fold``.
        bundle: its name.
        folds: how many.
        threshold_metric: by which the folds' thresholds were selected.
        chosen_thresholds: of the folds; those that were given are left out.
        test: each score over cases.
        outcomes: how many structures were found, missed, invented.
        volumes: predicted against true size of each structure.
        baselines: what needs no network, on the same cases.
        by_fold: mean of each score over the cases of a fold, and their number ``n``.
        held_out: the folds' models and their ensemble on the held-out test split; empty: the folds
            took all splits, so that there is no case that the ensemble never saw.
    """

    split: str
    bundle: str
    folds: int
    threshold_metric: str
    chosen_thresholds: list[float]
    test: dict[str, ScoreSummary]
    outcomes: dict[str, int]
    volumes: list[VolumeAgreement] = []
    baselines: dict[str, dict[str, float]]
    by_fold: list[dict[str, float]]
    held_out: list[HeldOutScores] = []


def read_summary(path: Path) -> EvaluationSummary:
    """Read the ``summary.json`` of an evaluation.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not the summary of an evaluation.
    """
    return read_schema(path, EvaluationSummary, "evaluate the model again")


def summary_text(summary: EvaluationSummary) -> list[str]:
    """Return the lines that an evaluation prints."""
    first = next(iter(summary.test.values()))
    unit = independent_unit(first.n, first.patients)
    threshold = f"{summary.operating_point.stated_threshold()}, {summary.threshold_source}"
    lines = [f"test, {count(first.n, 'image')}, threshold {threshold}"]
    lines.append(f"{'':42}" + "".join(f"{name:>10}" for name in METRICS))
    rows: dict[str, Mapping[str, float | None]] = {
        "this model": {name: score.mean for name, score in summary.test.items()}
    }
    if first.low is not None:
        rows[f"  95 % interval over {unit}, low"] = {n: s.low for n, s in summary.test.items()}
        rows[f"  95 % interval over {unit}, high"] = {n: s.high for n, s in summary.test.items()}
    rows |= summary.baselines
    lines += [f"{title:<42}{_cells(values)}" for title, values in rows.items()]
    if first.low is None:
        lines.append(f"interval    {no_interval(first)}")
    return [
        *lines,
        *_selection_lines(summary),
        *_score_lines(summary),
        *_outer_lines(summary),
        *_group_lines(summary),
    ]


def _cells(values: Mapping[str, float | None]) -> str:
    numbers = (values.get(name) for name in METRICS)
    return "".join(f"{'':10}" if value is None else f"{value:10.4f}" for value in numbers)


def _selection_lines(summary: EvaluationSummary) -> list[str]:
    point = summary.operating_point
    misses = {name: n for name, n in summary.outcomes.items() if name != "found"}
    postprocessing = point.stated_postprocessing()
    lines = [f"mask        post-processing: {postprocessing}"] if postprocessing != "none" else []
    if misses:
        lines.append("outcomes    " + ", ".join(f"{n} {name}" for name, n in misses.items()))
    return lines


def _score_lines(summary: EvaluationSummary) -> list[str]:
    lines = []
    if "merges_per_100_touching" in summary.test_pooled:
        scores = [f"{name} {summary.test[name].mean:.4f}" for name in ("f1", "pq", "v_rand")]
        scores += [
            f"{name.replace('_', ' ')} {value:.1f}"
            for name, value in summary.test_pooled.items()
            if "touching" in name
        ]
        lines.append("instances   " + ", ".join(scores))
    if summary.isbi_best_threshold_on_test is not None:
        names = ("v_rand_thinned", "v_info_thinned", "rand_error", "pixel_error", "warping_error")
        scores = [f"{name} {summary.test[name].mean:.4g}" for name in names]
        lines.append("ISBI        " + ", ".join(scores))
    if summary.reference is not None:
        lines += _reference_lines(summary.reference)
    return lines


def _outer_lines(summary: EvaluationSummary) -> list[str]:
    outer = summary.outer
    lines = [] if outer is None else [f"outer       {line}" for line in outer.absences()]
    lines += [f"outer       {outer_line(outer, score)}" for score in summary.outer_test if outer]
    return lines + ([f"review      {summary.review.line()}"] if summary.review else [])


def outer_line(outer: OuterContour, score: OuterScore) -> str:
    """Say what the outer contour of a label promises, and what it misses on test.

    Example:
        >>> from pipeline.inference.outer_contour import OuterThreshold
        >>> own = OuterThreshold(threshold=0.2, patients=40)
        >>> outer = OuterContour(missed=0.05, tta_versions=1, labels={"lung": own})
        >>> score = OuterScore(label="lung", missed=0.03, low=0.01, high=0.04, patients=30)
        >>> outer_line(outer, score)  # doctest: +NORMALIZE_WHITESPACE
        'lung: threshold 0.200 misses 5 % of its pixels at most, in expectation, by 40 validation
        patients; 3.0 % on test (95 % interval 1.0 to 4.0 %, 30 patients)'
    """
    own = outer.labels[score.label]
    ends = ""
    if score.low is not None and score.high is not None:
        ends = f"95 % interval {100 * score.low:.1f} to {100 * score.high:.1f} %, "
    return (
        f"{score.label}: threshold {own.threshold:.3f} misses {100 * outer.missed:g} % of its "
        f"pixels at most, in expectation, by {count(own.patients, 'validation patient')}; "
        f"{100 * score.missed:.1f} % on test ({ends}{count(score.patients, 'patient')})"
    )


def _reference_lines(reference: ReferenceComparison) -> list[str]:
    lines = [
        f"{name:11} reference {scores.reference.mean:.4f} (n {scores.reference.n}), here "
        f"{scores.own.mean:.4f} (n {scores.own.n})"
        for name, scores in reference.scores.items()
        if name in METRICS
    ]
    differing, (_, images) = reference.shift["out_of_distribution"], reference.shift["images"]
    return [*lines, f"shift       {differing} of {images} images are unlike the training images"]


def _group_lines(summary: EvaluationSummary) -> Sequence[str]:
    lines = [f"groups      left out: {reason}" for reason in summary.left_out]
    return lines + [
        f"groups      {gap.column} {gap.first} / {gap.second}: "
        f"{gap.difference:+.4f} {summary.group_metric}, {gap.verdict}"
        for gap in summary.gaps or ()
    ]
