"""Running a paper's experiments: each a bundle run with its overlays, for each seed, on record."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.data.datalist import read_datalist
from pipeline.files import write_json
from pipeline.inference.trained_model import read_record
from pipeline.papers.configs import (
    REDUCED,
    config_hashes,
    evaluation_overlay,
    experiment_bundle,
)
from pipeline.papers.measure import MEASURES
from pipeline.papers.paper import Experiment, Paper
from pipeline.papers.records import curves_of, metrics_of, read_result, record_path
from pipeline.provenance import hardware, versions
from pipeline.tracking.store import MODEL, resumable
from pipeline.tracking.run_name import unique_run_name

SPENT = "seconds.json"
ORIGIN = "made.json"


class Site(NamedTuple):
    """Where experiments run, and what is asked of them.

    Attributes:
        root: holds ``bundles`` and ``docs``.
        dataset_dir: of the prepared cohort.
        out: where models and evaluations go.
        tracking: folder of the tracking store.
        commit: of the code, as the call began.
        scale: ``reduced`` or ``paper``.
        seeds: how many: 0, 1, ….
        settings: of every bundle run, ``KEY=VALUE``.
        parent: id of the run that all runs belong to.
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
        """Where the records are."""
        return self.root / "docs" / "results"


def stale(site: Site, paper: Paper, experiment: Experiment) -> str:
    """Say what has changed since an experiment was recorded; empty: nothing, or no record."""
    record = read_result(record_path(site.results, paper.name, experiment.name, site.scale))
    if record is None:
        return ""
    configs = config_hashes(site.root, paper, experiment, site.scale, site.settings)
    now = {**configs, "datalist_sha256": read_datalist(str(site.dataset_dir)).sha256}
    return ", ".join(key for key, value in now.items() if record.get(key) != value)


def recorded_seeds(site: Site, paper: Paper, experiment: Experiment) -> int:
    """How many trainings an experiment's record holds; 0: there is none."""
    record = read_result(record_path(site.results, paper.name, experiment.name, site.scale))
    return len(record["seeds"]) if record else 0


def to_do(
    site: Site, paper: Paper, experiments: Sequence[Experiment], rerun: bool = False
) -> list[Experiment]:
    """Return the experiments that lack a record of so many seeds.

    Args:
        site: where.
        paper: whose.
        experiments: that are asked for.
        rerun: whether those whose record is stale are made anew.

    Raises:
        ValueError: a record is stale and not to be made anew, or not readable.
    """
    changed = {each.name: stale(site, paper, each) for each in experiments}
    changed = {name: what for name, what in changed.items() if what}
    if changed and not rerun:
        told = "; ".join(f"{name} ({what})" for name, what in changed.items())
        raise ValueError(
            f"{site.results / paper.name}: recorded by another config or split: {told}; make them "
            "anew with --rerun, or name the others with --only"
        )
    return [
        each
        for each in experiments
        if each.name in changed or recorded_seeds(site, paper, each) < site.seeds
    ]


def run_experiments(
    site: Site, paper: Paper, experiments: Sequence[Experiment]
) -> Iterator[tuple[Experiment, dict[str, Any]]]:
    """Train and evaluate each experiment with each seed, and yield it with its new record.

    What is done is not done again; a training that was interrupted goes on from its last whole
    epoch. A record is written when all its seeds are evaluated; it never has fewer seeds than
    before.

    Raises:
        ValueError: a bundle run failed, its own message stands above; or a config was changed
            meanwhile.
    """
    seeds = {
        each.name: range(max(site.seeds, recorded_seeds(site, paper, each))) for each in experiments
    }
    began, done, total = time.time(), 0, sum(map(len, seeds.values()))
    for experiment in experiments:
        hashes = config_hashes(site.root, paper, experiment, site.scale, site.settings)
        folders = []
        for seed in seeds[experiment.name]:
            _tell(f"{paper.name}: {experiment.name}, seed {seed}", done, total, began)
            folders.append(_run_seed(site, paper, experiment, seed, hashes))
            done += 1
        if hashes != config_hashes(site.root, paper, experiment, site.scale, site.settings):
            raise ValueError(f"{experiment.name}: its config was changed meanwhile; run this again")
        yield experiment, _record(site, paper, experiment, folders, hashes)


def _tell(what: str, done: int, total: int, began: float) -> None:
    ends = ""
    if done:
        left = (time.time() - began) / done * (total - done)
        ends = time.strftime(", all end about %H:%M", time.localtime(time.time() + left))
    print(f"[{done + 1} of {total}] {what}{ends}", flush=True)


def _run_seed(
    site: Site, paper: Paper, experiment: Experiment, seed: int, hashes: Mapping[str, str]
) -> tuple[Path, Path]:
    """Train and evaluate, where that is not done, and return the folders of both."""
    data = read_datalist(str(site.dataset_dir)).sha256
    key = f"{hashes['training_sha256'][:8]}_{data[:8]}"
    folder = site.out / paper.name / site.scale / experiment.name / key / f"seed_{seed}"
    evaluation = folder / f"eval_{hashes['evaluation_sha256'][:8]}"
    name = f"{experiment.name}_{seed}_{unique_run_name()}"
    places = {
        "dataset_dir": str(site.dataset_dir.resolve()),
        "models_dir": str(folder.resolve()),
        "tracking_dir": str(site.tracking.resolve()),
        "seed": seed,
    }
    bundle = experiment_bundle(site.root, paper, experiment, site.scale, site.settings)
    bundle = bundle.with_places(places)
    if not (folder / MODEL).is_file():
        write_json(folder / ORIGIN, {"commit": site.commit, "hardware": hardware()})
        own = {"run_name": name, "current_run#parent": site.parent}
        resumed = {key: str(path.resolve()) for key, path in resumable(folder).items()}
        began = time.time()
        try:
            bundle.with_overrides({**own, **resumed}).start("training")
        finally:
            write_json(folder / SPENT, _spent(folder) + time.time() - began)
    if not (evaluation / MEASURES).is_file():
        own = {"run_name": f"{name}_eval", "output_dir": str(evaluation.resolve())}
        overlay = evaluation_overlay(site.root, paper)
        bundle.with_overrides(own).start("evaluating", overlay)
    return folder, evaluation


def _spent(folder: Path) -> float:
    path = folder / SPENT
    return float(json.loads(path.read_text("utf-8"))) if path.is_file() else 0.0


def _record(
    site: Site,
    paper: Paper,
    experiment: Experiment,
    folders: Sequence[tuple[Path, Path]],
    hashes: Mapping[str, str],
) -> dict[str, Any]:
    trained, evaluations = zip(*folders, strict=True)
    made = [json.loads((folder / ORIGIN).read_text("utf-8")) for folder in trained]
    content = {
        "paper": paper.name,
        "experiment": experiment.name,
        "scale": site.scale,
        **hashes,
        "datalist_sha256": read_datalist(str(site.dataset_dir)).sha256,
        "settings": list(site.settings),
        "commits": sorted({each["commit"] for each in made}),
        "recorded_at": site.commit,
        "hardware": sorted({each["hardware"] for each in made}),
        "versions": versions(),
        "seeds": list(range(len(folders))),
        "models_sha256": [read_record(folder / MODEL).sha256 for folder in trained],
        "training_seconds": [round(_spent(folder)) for folder in trained],
        "metrics": metrics_of(evaluations, {result.ours for result in experiment.results}),
        "curves": curves_of(evaluations),
    }
    write_json(record_path(site.results, paper.name, experiment.name, site.scale), content)
    return content
