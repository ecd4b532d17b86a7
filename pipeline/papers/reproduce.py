"""Runs of a paper's experiments, each a bundle with its overlays, for each seed, with a record."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.bundle import Bundle
from pipeline.claims import claim
from pipeline.data.datalist import read_datalist
from pipeline.evaluation.resumable_training import is_trained, train_or_resume
from pipeline.files import write_json
from pipeline.inference.trained_model import read_record
from pipeline.jobs.job import Job
from pipeline.papers.configs import (
    REDUCED,
    config_hashes,
    evaluation_overlay,
    experiment_bundle,
)
from pipeline.papers.measure import MEASURES
from pipeline.papers.origin import changed_parts, rerun_command
from pipeline.papers.paper import Experiment, Paper
from pipeline.papers.records import curves_of, metrics_of, read_result, record_path
from pipeline.progress import Stages
from pipeline.provenance import hardware, versions
from pipeline.tracking.run_name import unique_run_name
from pipeline.tracking.store import MODEL

TRAINING_SECONDS = "seconds.json"
"""File of the seconds that a training took so far."""
ORIGIN = "made.json"
"""File of the commit and the hardware that made a training."""


class Site(NamedTuple):
    """The folders and settings of one call.

    Attributes:
        root: folder that holds ``bundles`` and ``docs``.
        dataset_dir: folder of the prepared cohort.
        out: folder for models and evaluations.
        tracking: folder of the tracking store.
        commit: commit of the code when the call began.
        scale: ``reduced`` or ``paper``.
        seeds: number of seeds: 0, 1, ….
        settings: settings of every bundle run, each ``KEY=VALUE``.
        parent: id of the MLflow run that is the parent of all runs.
    """

    root: Path
    dataset_dir: Path
    out: Path
    tracking: Path
    commit: str
    scale: str = REDUCED
    seeds: int = 1
    settings: Sequence[str] = ()
    parent: str = ""

    @property
    def results(self) -> Path:
        """Folder of the records."""
        return self.root / "docs" / "results"


def stale(site: Site, paper: Paper, experiment: Experiment) -> list[str]:
    """Return what changed since the record: training, evaluation, split; empty: nothing."""
    record = read_result(record_path(site.results, paper.name, experiment.name, site.scale))
    if record is None:
        return []
    configs = config_hashes(site.root, paper, experiment, site.scale, site.settings)
    now = {**configs, "datalist_sha256": read_datalist(str(site.dataset_dir)).sha256}
    return changed_parts(record, now)


def recorded_seeds(site: Site, paper: Paper, experiment: Experiment) -> int:
    """Return the number of trainings in an experiment's record; 0: there is no record."""
    record = read_result(record_path(site.results, paper.name, experiment.name, site.scale))
    return len(record["seeds"]) if record else 0


def to_do(
    site: Site, paper: Paper, experiments: Sequence[Experiment], rerun: bool = False
) -> list[Experiment]:
    """Return the experiments without a record of ``site.seeds`` seeds.

    Args:
        site: folders and settings of the call.
        paper: paper of the experiments.
        experiments: wanted experiments.
        rerun: whether to run those with a stale record again.

    Raises:
        ValueError: a stale record without ``rerun``, or a record that is not readable.
    """
    parts = {experiment.name: stale(site, paper, experiment) for experiment in experiments}
    changes = {name: changed for name, changed in parts.items() if changed}
    if changes and not rerun:
        names = "; ".join(f"{name} ({', '.join(changed)})" for name, changed in changes.items())
        raise ValueError(
            f"{site.results / paper.name}: recorded with another config or split: {names}; make "
            f"them again with {rerun_command(paper.name, *changes)} --dataset-dir "
            f"{site.dataset_dir}, or name the others with --only"
        )
    return [
        experiment
        for experiment in experiments
        if experiment.name in changes or recorded_seeds(site, paper, experiment) < site.seeds
    ]


def run_experiments(
    site: Site, paper: Paper, experiments: Sequence[Experiment]
) -> Iterator[tuple[Experiment, dict[str, Any]]]:
    """Train and evaluate each experiment with each seed, and yield it with its new record.

    Finished trainings and evaluations are not repeated. An interrupted training continues from its
    last complete epoch. A record is written when all its seeds are evaluated; it never has fewer
    seeds than before.

    Raises:
        ValueError: a failed bundle run, whose own message stands above, or a config that changed
            during the run.
    """
    stages = Stages(len(experiment_jobs(site, paper, experiments)))
    for experiment in experiments:
        hashes = config_hashes(site.root, paper, experiment, site.scale, site.settings)
        for job in experiment_jobs(site, paper, [experiment]):
            stages.begin(f"{paper.name}: {job.name}", job.is_done())
            job.do()
        seeds = _seeds(site, paper, experiment)
        folders = [_folders(site, paper, experiment, seed, hashes) for seed in seeds]
        if hashes != config_hashes(site.root, paper, experiment, site.scale, site.settings):
            raise ValueError(f"{experiment.name}: its config changed during the run; run it again")
        yield experiment, _record(site, paper, experiment, folders, hashes)


def experiment_jobs(site: Site, paper: Paper, experiments: Sequence[Experiment]) -> list[Job]:
    """Return a job for each experiment with each seed: to train it, and to evaluate it."""
    runs = [
        (experiment, seed, config_hashes(site.root, paper, experiment, site.scale, site.settings))
        for experiment in experiments
        for seed in _seeds(site, paper, experiment)
    ]
    return [
        Job(
            number,
            f"{experiment.name}, seed {seed}",
            partial(_run_seed, site, paper, experiment, seed, hashes),
            partial(_is_done, *_folders(site, paper, experiment, seed, hashes)),
        )
        for number, (experiment, seed, hashes) in enumerate(runs)
    ]


def done_experiments(
    site: Site, paper: Paper, experiments: Sequence[Experiment]
) -> list[Experiment]:
    """Return the experiments whose jobs are all done."""
    return [
        experiment
        for experiment in experiments
        if all(job.is_done() for job in experiment_jobs(site, paper, [experiment]))
    ]


def _seeds(site: Site, paper: Paper, experiment: Experiment) -> range:
    return range(max(site.seeds, recorded_seeds(site, paper, experiment)))


def _folders(
    site: Site, paper: Paper, experiment: Experiment, seed: int, hashes: Mapping[str, str]
) -> tuple[Path, Path]:
    """Return the folders of a training and of its evaluation."""
    data = read_datalist(str(site.dataset_dir)).sha256
    key = f"{hashes['training_sha256'][:8]}_{data[:8]}"
    folder = site.out / paper.name / site.scale / experiment.name / key / f"seed_{seed}"
    return folder, folder / f"eval_{hashes['evaluation_sha256'][:8]}"


def _is_done(folder: Path, evaluation: Path) -> bool:
    return is_trained(folder) and (evaluation / MEASURES).is_file()


def _run_seed(
    site: Site, paper: Paper, experiment: Experiment, seed: int, hashes: Mapping[str, str]
) -> None:
    """Train and evaluate, unless done already.

    The folder of the seed is claimed, so that calls for other experiments may run at a time.
    """
    folder, evaluation = _folders(site, paper, experiment, seed, hashes)
    name = unique_run_name(f"{experiment.name}-seed{seed}")
    places = {
        "dataset_dir": str(site.dataset_dir.resolve()),
        "models_dir": str(folder.resolve()),
        "tracking_dir": str(site.tracking.resolve()),
        "seed": seed,
    }
    bundle = experiment_bundle(site.root, paper, experiment, site.scale, site.settings)
    bundle = bundle.with_places(places)
    with claim(folder):
        _run_bundle(site, paper, bundle, folder, evaluation, name)


def _run_bundle(
    site: Site, paper: Paper, bundle: Bundle, folder: Path, evaluation: Path, name: str
) -> None:
    """Train and evaluate an experiment's bundle, unless done already."""
    if not is_trained(folder):
        write_json(folder / ORIGIN, {"commit": site.commit, "hardware": hardware()})
        began = time.time()
        try:
            train_or_resume(bundle, folder, site.parent, {"run_name": name})
        finally:
            seconds = _training_seconds(folder) + time.time() - began
            write_json(folder / TRAINING_SECONDS, seconds)
    if not (evaluation / MEASURES).is_file():
        own = {"run_name": f"{name}-evaluation", "output_dir": str(evaluation.resolve())}
        overlay = evaluation_overlay(site.root, paper)
        bundle.with_overrides(own).start("evaluating", overlay)


def _training_seconds(folder: Path) -> float:
    path = folder / TRAINING_SECONDS
    return float(json.loads(path.read_text("utf-8"))) if path.is_file() else 0.0


def _record(
    site: Site,
    paper: Paper,
    experiment: Experiment,
    folders: Sequence[tuple[Path, Path]],
    hashes: Mapping[str, str],
) -> dict[str, Any]:
    trained, evaluations = zip(*folders, strict=True)
    origins = [json.loads((folder / ORIGIN).read_text("utf-8")) for folder in trained]
    content = {
        "paper": paper.name,
        "experiment": experiment.name,
        "scale": site.scale,
        **hashes,
        "datalist_sha256": read_datalist(str(site.dataset_dir)).sha256,
        "settings": list(site.settings),
        "commits": sorted({origin["commit"] for origin in origins}),
        "recorded_at": site.commit,
        "hardware": sorted({origin["hardware"] for origin in origins}),
        "versions": versions(),
        "seeds": list(range(len(folders))),
        "models_sha256": [read_record(folder / MODEL).sha256 for folder in trained],
        "training_seconds": [round(_training_seconds(folder)) for folder in trained],
        "metrics": metrics_of(evaluations, {result.metric for result in experiment.results}),
        "curves": curves_of(evaluations),
    }
    write_json(record_path(site.results, paper.name, experiment.name, site.scale), content)
    return content
