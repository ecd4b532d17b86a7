"""A made evaluation, as a package holds it."""

ENGINES = [
    {
        "engine": "bfloat16", "seconds": 0.125,
        "loss": {"score": "dice", "mean": 0.0, "low": -0.0001, "high": 0.0002},
        "accepted": True, "reason": "",
    }
]  # fmt: skip
"""Engines that a made evaluation accepted."""

EVALUATION = {
    "split": "test",
    "threshold": 0.5,
    "threshold_source": "given",
    "tta_versions": 1,
    "postprocessing": "none",
    "operating_point": {"by_label": {}},
    "group_metric": "iou",
    "versions": {"python": "3.11.9", "unet-school": "0.1.0"},
    "baselines": {},
    "engines": [],
    "outer_test": [],
    "test": {
        "iou": {"mean": 0.8, "low": 0.7, "high": 0.9, "n": 40, "patients": 20},
        "dice": {"mean": 0.9, "low": None, "high": None, "n": 40, "patients": 20},
    },
    "outcomes": {"found": 40},
    "groups": [
        {"sex": "f", "mean": 0.75, "low": 0.7, "high": 0.8, "n": 20, "patients": 10, "enough": True}
    ],
    "age_bins": [
        {
            "age": "60 to 70", "mean": 0.8, "low": 0.7, "high": 0.9, "n": 20, "patients": 10,
            "enough": True,
        }
    ],
    "gaps": [
        {
            "column": "sex", "first": "f", "second": "m", "difference": -0.1, "p": 0.01,
            "verdict": "differ",
        },
        {
            "column": "site", "first": "a", "second": "b", "difference": 0.1, "p": 0.7,
            "verdict": "no difference shown",
        },
    ],
    "groups_left_out": 0,
    "model": {
        "sha256": "0" * 64, "bundle": "cells", "datalist_sha256": "1" * 64, "mlflow_run_id": "2",
    },
    "evaluation": {"code": "none", "config_sha256": "3" * 64, "seed": 0},
}  # fmt: skip
