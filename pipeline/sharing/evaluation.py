"""The part of an evaluation that may leave the hospital: means, intervals, counts, no patient.

This file lists what may leave. Everything else stays, whatever a later version of an evaluation
writes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.data.drift import MIN_PATIENTS
from pipeline.evaluation.summary import EvaluationSummary
from pipeline.inference import OperatingPoint
from pipeline.inference.engine import EngineTrial

MODEL_FIELDS = {"sha256", "bundle", "datalist_sha256", "mlflow_run_id"}
EXECUTION_FIELDS = {"code", "config_sha256", "seed"}
SCORE_FIELDS = {"mean", "low", "high", "n", "patients"}


def stated_operating_point(point: OperatingPoint) -> dict[str, Any]:
    """Return an operating point whole, and what the model card says of it.

    Example:
        >>> stated = stated_operating_point(OperatingPoint(threshold=0.4))
        >>> stated["threshold"], stated["tta_versions"], stated["postprocessing"]
        (0.4, 1, 'none')
    """
    return {
        "operating_point": point.model_dump(mode="json"),
        "threshold": point.threshold,
        "tta_versions": point.tta_versions,
        "postprocessing": point.stated_postprocessing(),
    }


def shared_engines(trials: Sequence[EngineTrial]) -> list[dict[str, Any]]:
    """Return the engines that an evaluation accepted; why it refused others stays here.

    So does the program of integers, and its hash.

    Example:
        >>> shared_engines([EngineTrial(engine="float32", seconds=0.1)])
        []
    """
    own = {"program_sha256"}
    return [trial.model_dump(mode="json", exclude=own) for trial in trials if trial.accepted]


def shared_evaluation(
    summary: EvaluationSummary, labels: Mapping[str, int | list[int]]
) -> dict[str, Any]:
    """Return what may leave of an evaluation: no image, no row, no group of too few patients.

    Args:
        summary: the evaluation's summary.
        labels: the number or numbers of each label, by name.

    Raises:
        ValueError: the evaluation used another split than test.
    """
    if summary.split != "test":
        raise ValueError(f"evaluated on the split {summary.split}; expected an evaluation on test")
    groups = [group for group in summary.groups or () if group.enough]
    bins = [group for group in summary.age_bins or () if group.enough]
    return {
        "split": summary.split,
        **stated_operating_point(summary.operating_point),
        "labels": dict(labels),
        "threshold_source": summary.threshold_source,
        "threshold_metric": summary.threshold_metric,
        "test_pooled": summary.test_pooled,
        "baselines": summary.baselines,
        "engines": shared_engines(summary.engines),
        "group_metric": summary.group_metric,
        "versions": summary.versions,
        "test": {
            name: score.model_dump(include=SCORE_FIELDS) for name, score in summary.test.items()
        },
        "outcomes": summary.outcomes,
        "outer": None if summary.outer is None else summary.outer.model_dump(mode="json"),
        "outer_test": [
            score.model_dump(mode="json")
            for score in summary.outer_test
            if score.patients >= MIN_PATIENTS
        ],
        "groups": [group.model_dump() for group in groups],
        "gaps": [gap.model_dump() for gap in summary.gaps or () if gap.p is not None],
        "age_bins": [group.model_dump() for group in bins],
        "groups_left_out": len(summary.groups or ()) - len(groups),
        "age_bins_left_out": len(summary.age_bins or ()) - len(bins),
        "model": summary.model.model_dump(include=MODEL_FIELDS),
        "evaluation": summary.evaluation.model_dump(include=EXECUTION_FIELDS),
    }
