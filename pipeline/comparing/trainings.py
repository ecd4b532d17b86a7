"""Training and evaluating several networks alike, in calls that may be interrupted."""

import hashlib
import json
from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pipeline.bundle import Bundle
from pipeline.bundle.network_numbers import network_numbers
from pipeline.comparing.networks import comparable_networks
from pipeline.evaluation.cases import Row
from pipeline.evaluation.groups import check_metric
from pipeline.evaluation.resumable_training import is_trained, train_or_resume
from pipeline.files import write_text
from pipeline.inference.trained_model import read_record
from pipeline.jobs.job import Job
from pipeline.progress import Stages
from pipeline.tracking.metric_log import MINUTES, MetricLog
from pipeline.tracking.store import CASES, MODEL

NETWORK = "network_def"


class Networks(NamedTuple):
    """What is compared, and where.

    Attributes:
        bundle: with the overlays and overrides of the experiment.
        names: of the networks; the others are compared with the first.
        seeds: trainings of each.
        data: folder of the cohort.
        out: where overlays, models, evaluations and the table go.
        tracking: folder of the tracking store.
        metric: of the per-image table.
    """

    bundle: Bundle
    names: Sequence[str]
    seeds: int
    data: Path
    out: Path
    tracking: Path
    metric: str

    @property
    def definition(self) -> dict[str, Any]:
        """The bundle's own network, with what was set."""
        own: dict[str, Any] = self.bundle.config("training")[NETWORK]
        return own

    def overlay(self, name: str) -> Path:
        """Return the overlay of a network."""
        return self.out / "networks" / f"{name}.yaml"

    def models(self, name: str, seed: int) -> Path:
        """Return the folder of a network's training."""
        return self.out / name / f"seed_{seed}"

    def evaluation(self, name: str, seed: int) -> Path:
        """Return the folder of a training's evaluation."""
        return self.models(name, seed) / "eval"

    def bundle_of(self, name: str) -> Bundle:
        """Return the bundle with a network in the place of its own."""
        others = {k: v for k, v in self.bundle.overrides.items() if not k.startswith(NETWORK)}
        overlays = [*self.bundle.overlays, self.overlay(name)]
        return Bundle(self.bundle.folder, overlays, others)

    def run_of(self, name: str, seed: int) -> Bundle:
        """Return the bundle with all that a training and its evaluation take."""
        places = {
            "dataset_dir": self.data,
            "models_dir": self.models(name, seed),
            "tracking_dir": self.tracking,
        }
        paths = {key: str(path.resolve()) for key, path in places.items()}
        return self.bundle_of(name).with_places({**paths, "seed": seed})

    def numbers(self, name: str) -> int:
        """Count the numbers in a network."""
        return network_numbers(self.bundle_of(name).files("training"))

    def rows(self, name: str, seed: int) -> list[Row]:
        """Read the per-image table of an evaluation."""
        content = (self.evaluation(name, seed) / CASES).read_text("utf-8")
        rows: list[Row] = json.loads(content)
        return rows

    def minutes(self, name: str, seed: int) -> float | None:
        """Return the minutes of a training; None: its folder does not say."""
        models = self.models(name, seed)
        epochs = MetricLog(models / read_record(models / MODEL).run_name).read()
        return epochs[-1].metrics.get(MINUTES) if epochs else None


def write_overlays(networks: Networks) -> None:
    """Write the overlay of each network: its definition alone, all else is the bundle's.

    Raises:
        ValueError: unknown names, or networks that cannot be made alike.
    """
    for name, definition in comparable_networks(networks.definition, networks.names).items():
        text = yaml.safe_dump({NETWORK: definition}, sort_keys=False, default_flow_style=None)
        write_text(networks.overlay(name), f"# Overlay of unet-school compare-networks.\n{text}")


def config_sha256(networks: Networks) -> str:
    """Hash what the networks are trained and evaluated by, the networks included."""
    configs = [networks.bundle.config(run) for run in ("training", "evaluating")]
    definitions = comparable_networks(networks.definition, networks.names)
    text = json.dumps([configs, definitions], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def check_networks(networks: Networks) -> None:
    """Refuse a config of training or evaluation that is wrong for any network, before the first.

    Raises:
        ValueError: the first error, in one line.
    """
    for name in networks.names:
        networks.run_of(name, 0).for_training().check("training")


def train_networks(networks: Networks, parent: str) -> None:
    """Train and evaluate each network with each seed.

    What an earlier call has done is not repeated; an interrupted training goes on from its last
    whole epoch.

    Args:
        networks: what is compared.
        parent: id of the MLflow run that all runs belong to.

    Raises:
        ValueError: a run failed, its own message stands above; or there is no such metric.
    """
    jobs = network_jobs(networks, parent)
    stages = Stages(len(jobs))
    for job in jobs:
        stages.begin(job.name, job.is_done())
        job.do()


def network_jobs(networks: Networks, parent: str) -> list[Job]:
    """Return a job for each network with each seed: to train it, and to evaluate it.

    Args:
        networks: what is compared.
        parent: id of the MLflow run that all runs belong to.
    """
    return [
        Job(
            number,
            f"{name}, seed {seed}",
            partial(_run_network, networks, parent, name, seed),
            partial(_is_done, networks, name, seed),
        )
        for number, (name, seed) in enumerate(product(networks.names, range(networks.seeds)))
    ]


def _run_network(networks: Networks, parent: str, name: str, seed: int) -> None:
    models, evaluation = networks.models(name, seed), networks.evaluation(name, seed)
    run = networks.run_of(name, seed)
    if not is_trained(models):
        train_or_resume(run.for_training(), models, parent)
    if not (evaluation / CASES).is_file():
        run.with_places({"output_dir": str(evaluation.resolve())}).start("evaluating")
    check_metric(networks.rows(name, seed), networks.metric)


def _is_done(networks: Networks, name: str, seed: int) -> bool:
    evaluation = networks.evaluation(name, seed)
    return is_trained(networks.models(name, seed)) and (evaluation / CASES).is_file()
