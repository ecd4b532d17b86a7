"""Running a paper's experiments: each a bundle run with its overlays, for each seed, on record."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.data.datalist import read_datalist
from pipeline.data.files import sha256, write_json
from pipeline.papers.measure import MEASURES
from pipeline.papers.paper import Experiment, Paper
from pipeline.papers.records import (
    config_sha256,
    curves_of,
    metrics_of,
    read_result,
    record_path,
    write_result,
)
from pipeline.provenance import git_commit, versions
from pipeline.training.bundle_runs import bundle_run, resumed
from pipeline.training.checkpoints import MODEL
from pipeline.training.run_name import unique_run_name

SPENT = "seconds.json"


class Site(NamedTuple):
    """Where experiments run, and what is asked of them.

    Attributes:
        root: holds ``bundles`` and ``docs``.
        dataset_dir: of the prepared cohort.
        out: where models and evaluations go.
        tracking: folder of the tracking store.
        parent: id of the run that all runs belong to.
        scale: ``laptop`` or ``paper``.
        seeds: how many: 0, 1, ….
        rerun: whether a record made by another config is made anew.
        overrides: further arguments of every bundle run, a key and a value in turn.
    """

    root: Path
    dataset_dir: Path
    out: Path
    tracking: Path
    parent: str
    scale: str = "laptop"
    seeds: int = 1
    rerun: bool = False
    overrides: Sequence[str] = ()

    @property
    def results(self) -> Path:
        """Where the records are."""
        return self.root / "docs" / "results"


def training_configs(root: Path, paper: Paper, experiment: Experiment, scale: str) -> list[Path]:
    """Return ``train.yaml`` and the overlays of an experiment at a scale.

    The experiment's overlay has the paper's settings; at laptop scale another one narrows it, where
    it has to be.

    Raises:
        FileNotFoundError: the bundle or the experiment's overlay is not there.
    """
    configs = root / "bundles" / paper.bundle / "configs"
    folder = configs / "experiments" / paper.name
    files = [configs / "train.yaml", folder / f"{experiment.name}.yaml"]
    for path in files:
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: no such file; give --root the folder that holds bundles and docs"
            )
    narrower = folder / "laptop" / f"{experiment.name}.yaml"
    return [*files, narrower] if scale == "laptop" and narrower.is_file() else files


def to_do(site: Site, paper: Paper, experiments: Sequence[Experiment]) -> list[Experiment]:
    """Return the experiments that lack a record of so many seeds.

    Raises:
        ValueError: a record was made by another config, on another split, or is not readable.
    """
    return [each for each in experiments if not _is_recorded(site, paper, each)]


def _is_recorded(site: Site, paper: Paper, experiment: Experiment) -> bool:
    path = record_path(site.results, paper.name, experiment.name, site.scale)
    record = read_result(path)
    if record is None or site.rerun:
        return False
    now = _decides(site, paper, experiment)
    for key, value in now.items():
        if record[key] != value:
            raise ValueError(
                f"{path}: its {key} is {record[key][:8]}, now it is {value[:8]}: it was made by "
                "another config or on another split; make it anew with --rerun, or restore them"
            )
    return len(record["seeds"]) >= site.seeds


def _decides(site: Site, paper: Paper, experiment: Experiment) -> dict[str, str]:
    configs = evaluation_configs(site.root, paper, experiment, site.scale)
    return {
        "config_sha256": config_sha256(configs, site.overrides),
        "datalist_sha256": read_datalist(str(site.dataset_dir)).sha256,
    }


def evaluation_configs(root: Path, paper: Paper, experiment: Experiment, scale: str) -> list[Path]:
    """Return the training's files, the evaluation's overlay, and what papers measure beside it."""
    configs = root / "bundles" / paper.bundle / "configs"
    own = configs / "experiments" / paper.name / "evaluate.yaml"
    return [
        *training_configs(root, paper, experiment, scale),
        configs / "evaluate.yaml",
        *([own] if own.is_file() else []),
    ]


def run_experiments(
    site: Site, paper: Paper, experiments: Sequence[Experiment]
) -> Iterator[tuple[Experiment, dict[str, Any]]]:
    """Train and evaluate each experiment with each seed, and yield it with its new record.

    What is done is not done again; a training that was interrupted goes on from its last whole
    epoch. A record is written when all its seeds are evaluated.

    Raises:
        ValueError: a bundle run failed; its own message stands above.
    """
    began, total = time.time(), len(experiments) * site.seeds
    for number, experiment in enumerate(experiments):
        folders = []
        for seed in range(site.seeds):
            done = number * site.seeds + seed
            _tell(f"{paper.name}: {experiment.name}, seed {seed}", done, total, began)
            folders.append(_run_seed(site, paper, experiment, seed))
        yield experiment, _record(site, paper, experiment, folders)


def _tell(what: str, done: int, total: int, began: float) -> None:
    ends = ""
    if done:
        left = (time.time() - began) / done * (total - done)
        ends = time.strftime(", all end about %H:%M", time.localtime(time.time() + left))
    print(f"[{done + 1} of {total}] {what}{ends}", flush=True)


def _run_seed(site: Site, paper: Paper, experiment: Experiment, seed: int) -> Path:
    decided = "".join(each[:6] for each in _decides(site, paper, experiment).values())
    folder = site.out / paper.name / site.scale / experiment.name / decided / f"seed_{seed}"
    where = {"dataset_dir": site.dataset_dir, "models_dir": folder, "tracking_dir": site.tracking}
    run_name = f"{experiment.name}_{seed}_{unique_run_name()}"
    settings = {**where, "seed": seed, "run_name": run_name}
    if not (folder / MODEL).is_file():
        configs = training_configs(site.root, paper, experiment, site.scale)
        began = time.time()
        more = {"tracking#parent": site.parent, **resumed(folder)}
        try:
            bundle_run("training", configs, {**settings, **more}, site.overrides)
        finally:
            write_json(folder / SPENT, _spent(folder) + time.time() - began)
    evaluation = folder / "eval"
    if not (evaluation / MEASURES).is_file():
        configs = evaluation_configs(site.root, paper, experiment, site.scale)
        settings |= {"run_name": f"{run_name}_eval", "output_dir": evaluation}
        bundle_run("evaluating", configs, settings, site.overrides)
    return folder


def _spent(folder: Path) -> float:
    path = folder / SPENT
    return float(json.loads(path.read_text("utf-8"))) if path.is_file() else 0.0


def _record(
    site: Site, paper: Paper, experiment: Experiment, folders: Sequence[Path]
) -> dict[str, Any]:
    evaluations = [folder / "eval" for folder in folders]
    content = {
        "paper": paper.name,
        "experiment": experiment.name,
        "scale": site.scale,
        **_decides(site, paper, experiment),
        "overrides": list(site.overrides),
        "commit": git_commit(site.root),
        "versions": versions(),
        "seeds": list(range(len(folders))),
        "models_sha256": [sha256(folder / MODEL) for folder in folders],
        "training_seconds": [round(_spent(folder)) for folder in folders],
        "metrics": metrics_of(evaluations, {result.ours for result in experiment.results}),
        "curves": curves_of(evaluations),
    }
    path = record_path(site.results, paper.name, experiment.name, site.scale)
    write_result(path, content)
    return content
