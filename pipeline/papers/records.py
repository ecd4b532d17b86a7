"""The record of an experiment: what it gave and by what, kept in the repository."""

import hashlib
import json
import platform
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from monai.bundle import ConfigParser

from pipeline.data.files import write_json
from pipeline.evaluation.statistics import bootstrap_interval, patients_of
from pipeline.papers.measure import MEASURES
from pipeline.training.runs import CASES

SPLITS = ("validation", "test")


def record_path(results: Path, paper: str, experiment: str, scale: str) -> Path:
    """Return where a record is: ``RESULTS/PAPER/EXPERIMENT.json``, of paper scale in a folder.

    Example:
        >>> record_path(Path("docs/results"), "unet_school_isbi", "unet", "laptop").as_posix()
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


def config_sha256(configs: Sequence[Path], overrides: Sequence[str]) -> str:
    """Hash what decides a result: the merged config, and what was overridden by hand.

    The number of threads is left out: it changes the time, and the last digits of a sum.
    """
    merged = ConfigParser.load_config_files([str(path) for path in configs])
    pairs = zip(overrides[::2], overrides[1::2], strict=True)
    decides = [pair for pair in pairs if pair[0] != "--threads"]
    text = json.dumps([merged, decides], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


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
    for split in SPLITS:
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


def write_result(path: Path, content: Mapping[str, Any]) -> None:
    """Write a record, with the machine it was made on."""
    write_json(path, {**content, "hardware": hardware()})


def hardware() -> str:
    """Name the machine: its GPU, or its processor, cores and memory."""
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    memory = psutil.virtual_memory().total / 2**30
    return f"{platform.machine()} CPU, {psutil.cpu_count()} cores, {memory:.0f} GiB"


def _tables(folder: Path) -> dict[str, Any]:
    """The rows of both splits, and which of their columns are scores."""
    measures = json.loads((folder / MEASURES).read_text("utf-8"))
    rows = measures["rows"]
    scored = json.loads((folder / "summary.json").read_text("utf-8"))["test"]
    of_image = {row["image"]: row for row in rows["test"]}
    cases = json.loads((folder / CASES).read_text("utf-8"))
    names = {split: [name for name in rows[split][0] if name != "image"] for split in SPLITS}
    return {
        "validation": rows["validation"],
        "test": [{**row, **of_image[row["image"]]} for row in cases],
        "names": {"validation": names["validation"], "test": [*scored, *names["test"]]},
        "scalars": measures.get("scalars", {}),
        "curves": measures.get("curves", {}),
    }


def _rounded(value: float | int | None) -> float | int | None:
    return round(float(value), 6) if isinstance(value, float) else value
