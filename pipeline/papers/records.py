"""The record of an experiment: what it gave and by what, kept in the repository."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.metrics.statistics import bootstrap_interval, patients_of
from pipeline.papers.measure import MEASURES
from pipeline.tracking.store import CASES

NO_SCORES = ("image", "patient")


def record_path(results: Path, paper: str, experiment: str, scale: str) -> Path:
    """Return where a record is: ``RESULTS/PAPER/EXPERIMENT.json``, of paper scale in a folder.

    Example:
        >>> record_path(Path("docs/results"), "unet_school_isbi", "unet", "reduced").as_posix()
        'docs/results/unet_school_isbi/unet.json'
    """
    folder = results / paper / "paper_scale" if scale == "paper" else results / paper
    return folder / f"{experiment}.json"


def read_result(path: Path) -> dict[str, Any] | None:
    """Read a record; None: there is none.

    Raises:
        ValueError: not readable.
    """
    if not path.is_file():
        return None
    try:
        record: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path}: not readable as JSON ({error}); restore it, or delete it"
        ) from None
    return record


def metrics_of(
    evaluations: Sequence[Path], each_image: Collection[str] = ()
) -> dict[str, dict[str, Any]]:
    """Put the evaluations of several seeds together: each metric's mean, interval and spread.

    The interval is of the images (patients), each with its mean over the seeds; ``by_seed`` tells
    the spread between trainings.

    Args:
        evaluations: a folder for each seed, with the evaluation's table and ``measures.json``.
        each_image: names of metrics whose values of single images are kept, too, for paired
            comparisons.
    """
    tables = [_tables(folder) for folder in evaluations]
    found: dict[str, dict[str, Any]] = {}
    for split in tables[0]["names"]:
        of_seeds = [table[split] for table in tables]
        for name in dict.fromkeys(tables[0]["names"][split]):
            values = np.array([[row[name] for row in rows] for rows in of_seeds], np.float64)
            interval = bootstrap_interval(values.mean(0), patients_of(of_seeds[0]))
            metric = f"{split}_{name}"
            found[metric] = {
                **{key: _rounded(value) for key, value in interval._asdict().items()},
                "by_seed": values.mean(1).round(6).tolist(),
            }
            if metric in each_image:
                images = [row["image"] for row in of_seeds[0]]
                of_each = zip(images, values.mean(0).round(6).tolist(), strict=True)
                found[metric]["by_image"] = dict(of_each)
    for name in tables[0]["scalars"]:
        values = np.array([table["scalars"][name] for table in tables], np.float64)
        found[name] = {"mean": _rounded(values.mean()), "by_seed": values.round(6).tolist()}
    return found


def curves_of(evaluations: Sequence[Path]) -> list[dict[str, list[float]]]:
    """The curves of each seed, where epochs were kept."""
    return [each["curves"] for each in map(_tables, evaluations) if each["curves"]]


def _tables(folder: Path) -> dict[str, Any]:
    """The rows of both splits, and which of their columns are scores."""
    measures = json.loads((folder / MEASURES).read_text("utf-8"))
    rows = measures["rows"]
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    # the challenge's scores, each at the threshold that is best for it on test, as it has them
    challenge = summary.get("isbi_best_threshold_on_test", {})
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
            **{f"challenge_{name}": found["value"] for name, found in challenge.items()},
        },
        "curves": measures.get("curves", {}),
    }


def _rounded(value: float | int | None) -> float | int | None:
    return round(float(value), 6) if isinstance(value, float) else value
