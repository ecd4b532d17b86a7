"""The record of an experiment in the repository: its metrics, and what they were made with."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.metrics.statistics import bootstrap_interval, patients_of
from pipeline.papers.measure import MEASURES
from pipeline.tracking.store import CASES

NO_SCORES = ("image", "patient")
"""Columns of the per-image table that are no scores."""
KEYS = (
    "scale", "datalist_sha256", "settings", "commits", "recorded_at", "hardware", "seeds",
    "training_seconds", "metrics", "curves",
)  # fmt: skip
"""What every record has and the page shows."""


def record_path(results: Path, paper: str, experiment: str, scale: str) -> Path:
    """Return the path of a record: ``RESULTS/PAPER/EXPERIMENT.json``.

    Records of paper scale lie in the folder ``RESULTS/PAPER/paper_scale``.

    Example:
        >>> record_path(Path("docs/results"), "unet_school_isbi", "unet", "reduced").as_posix()
        'docs/results/unet_school_isbi/unet.json'
    """
    folder = results / paper / "paper_scale" if scale == "paper" else results / paper
    return folder / f"{experiment}.json"


def read_result(path: Path) -> dict[str, Any] | None:
    """Read a record; None: there is none.

    Raises:
        ValueError: a file that is not readable as JSON, or no record.
    """
    if not path.is_file():
        return None
    try:
        record: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path}: not readable as JSON ({error}); restore it, or delete it"
        ) from None
    lacking = [key for key in KEYS if key not in record]
    if lacking:
        raise ValueError(f"{path}: no record, lacks {', '.join(lacking)}; restore it, or delete it")
    return record


def metrics_of(
    evaluations: Sequence[Path], by_image: Collection[str] = ()
) -> dict[str, dict[str, Any]]:
    """Combine the evaluations of several seeds: mean, interval and spread of each metric.

    The interval is over the images (patients), each with its mean over the seeds; ``by_seed`` holds
    the mean of each training.

    Args:
        evaluations: folder of each seed's evaluation, with its table and ``measures.json``.
        by_image: names of the metrics whose values of single images are kept, too, for paired
            comparisons.
    """
    tables = [_tables(folder) for folder in evaluations]
    metrics: dict[str, dict[str, Any]] = {}
    for split in tables[0]["names"]:
        of_seeds = [table[split] for table in tables]
        for name in dict.fromkeys(tables[0]["names"][split]):
            values = np.array([[row[name] for row in rows] for rows in of_seeds], np.float64)
            interval = bootstrap_interval(values.mean(0), patients_of(of_seeds[0]))
            metric = f"{split}_{name}"
            metrics[metric] = {
                **{key: _rounded(value) for key, value in interval._asdict().items()},
                "by_seed": values.mean(1).round(6).tolist(),
            }
            if metric in by_image:
                images = [row["image"] for row in of_seeds[0]]
                means = values.mean(0).round(6).tolist()
                metrics[metric]["by_image"] = dict(zip(images, means, strict=True))
    for name in tables[0]["scalars"]:
        values = np.array([table["scalars"][name] for table in tables], np.float64)
        metrics[name] = {"mean": _rounded(values.mean()), "by_seed": values.round(6).tolist()}
    return metrics


def curves_of(evaluations: Sequence[Path]) -> list[dict[str, list[float]]]:
    """Return the curves of each seed that has any."""
    return [tables["curves"] for tables in map(_tables, evaluations) if tables["curves"]]


def _tables(folder: Path) -> dict[str, Any]:
    """Return the rows of each split, the names of their scores, the scalars and the curves."""
    measures = json.loads((folder / MEASURES).read_text("utf-8"))
    rows = measures["rows"]
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    # the challenge's scores, each at its best threshold on test, as the challenge has them
    challenge = summary.get("isbi_best_threshold_on_test") or {}
    of_image = {row["image"]: row for row in rows["test"]}
    cases = json.loads((folder / CASES).read_text("utf-8"))
    names = {
        split: [name for name in of_split[0] if name not in NO_SCORES]
        for split, of_split in rows.items()
    }
    return {
        **rows,
        "test": [{**row, **of_image[row["image"]]} for row in cases],
        "names": {**names, "test": [*summary["test"], *names["test"]]},
        "scalars": {
            **measures.get("scalars", {}),
            **{f"challenge_{name}": best["value"] for name, best in challenge.items()},
        },
        "curves": measures.get("curves", {}),
    }


def _rounded(value: float | int | None) -> float | int | None:
    return round(float(value), 6) if isinstance(value, float) else value
