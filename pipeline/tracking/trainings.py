"""Trainings of the tracking store: their own configs and weights."""

import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from mlflow import MlflowClient

from pipeline.files import write_json
from pipeline.tracking.executed_config import EXECUTED, experiment_of
from pipeline.tracking.store import MODEL, find_runs


class StoredTraining(NamedTuple):
    """A training, as the tracking store has it.

    Attributes:
        name: of the run.
        config: that it executed.
        folder: where its weights are.
        dataset_dir: of its cohort.
    """

    name: str
    config: dict[str, Any]
    folder: Path
    dataset_dir: str

    @property
    def model(self) -> Path:
        """The weights of its best epoch."""
        return self.folder / MODEL

    def write_overlay(self) -> Path:
        """Write the experiment that it executed as an overlay beside its weights."""
        path = self.folder / EXECUTED
        write_json(path, experiment_of(self.config))
        return path


def find_training(client: MlflowClient, name: str, bundle: str) -> StoredTraining:
    """Find a training by its name or id, or by those of one of its evaluations.

    Args:
        client: of the tracking store.
        name: name or id.
        bundle: that it must be of.

    Raises:
        ValueError: there is no such training, it is of another bundle, or it learnt no label.
        FileNotFoundError: its weights are no longer where they were.
    """
    runs = find_runs(client, name)
    parents = [run.data.tags.get("mlflow.parentRunId") for run in runs]
    runs += [client.get_run(parent) for parent in parents if parent]
    trainings = [run for run in runs if run.data.tags.get("run") in ("training", "run")]
    if not trainings:
        raise ValueError(
            f"{name}: no such training; give a name or an id as the MLflow UI shows it"
        )
    run = trainings[0]
    if run.data.tags.get("bundle") != bundle:
        raise ValueError(f"{name}: a run of {run.data.tags.get('bundle')}, not of {bundle}")
    folder = Path(run.data.tags["folder"])
    if not (folder / MODEL).is_file():
        raise FileNotFoundError(f"{folder / MODEL}: no such file; the training {name} wrote it")
    with tempfile.TemporaryDirectory() as temporary:
        path = client.download_artifacts(run.info.run_id, EXECUTED, temporary)
        config = json.loads(Path(path).read_text("utf-8"))
    if "pretraining" in config:
        raise ValueError(
            f"{name}: learnt from images alone and knows no label; train with it by --set "
            f"init_from={folder / MODEL}"
        )
    cohort = run.data.tags["dataset_dir"]
    return StoredTraining(str(run.info.run_name), config, folder, cohort)
