"""What of an evaluation may leave the house: means, intervals and counts, never a patient.

What is kept is listed here; what is not, stays, whatever a later version of an evaluation writes.
"""

from collections.abc import Mapping
from typing import Any

KEPT = (
    "split", "threshold", "threshold_source", "threshold_metric", "tta_versions", "cleaning",
    "test_pooled", "baselines", "group_metric", "versions",
)  # fmt: skip
OF_A_METRIC = ("mean", "low", "high", "n", "patients")
OF_A_MODEL = ("sha256", "bundle", "datalist_sha256", "mlflow_run_id")
OF_AN_EVALUATION = ("code", "config_sha256", "seed")


def shared_evaluation(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told of an evaluation: no image, no name, no row, no group too few to judge.

    Args:
        summary: the evaluation's own ``summary.json``.

    Raises:
        ValueError: it is of another split than test.

    Example:
        >>> row = {"mean": 0.9, "low": 0.8, "high": 1.0, "n": 12, "patients": 12, "min": 0.1}
        >>> summary = {"split": "test", "test": {"iou": row}, "model": {"path": "/home/x"}}
        >>> told = shared_evaluation(summary)
        >>> told["test"], told["model"]
        ({'iou': {'mean': 0.9, 'low': 0.8, 'high': 1.0, 'n': 12, 'patients': 12}}, {})
    """
    if summary.get("split") != "test":
        raise ValueError(f"evaluated on the split {summary.get('split')}; expected one on test")
    groups = [group for group in summary.get("groups", ()) if group["enough"]]
    bins = [each for each in summary.get("age_bins", ()) if each["enough"]]
    return {
        **{key: summary[key] for key in KEPT if key in summary},
        "test": {name: _only(row, OF_A_METRIC) for name, row in summary["test"].items()},
        "outcomes": dict(summary.get("outcomes", {})),
        "groups": groups,
        "gaps": [gap for gap in summary.get("gaps", ()) if gap["p"] is not None],
        "age_bins": bins,
        "groups_left_out": len(summary.get("groups", ())) - len(groups),
        "age_bins_left_out": len(summary.get("age_bins", ())) - len(bins),
        "model": _only(summary["model"], OF_A_MODEL),
        "evaluation": _only(summary.get("evaluation", {}), OF_AN_EVALUATION),
    }


def _only(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}
