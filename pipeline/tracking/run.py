"""Recording a run in MLflow so that it stays right.

MONAI's own handler continues any unfinished run of an experiment, leaves a crashed run RUNNING,
logs two parameters, and two processes that create one database at a time collide. Here each
execution is one run of its own that ends FINISHED, FAILED or KILLED.
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from filelock import FileLock
from ignite.engine import Engine, Events
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from pipeline.inference.trained_model import read_record
from pipeline.provenance import git_commit
from pipeline.bundle.executed_config import flat_parameters, save_executed_config
from pipeline.bundle.workflow import running_workflow

DATABASE = "mlflow.db"
LAST = "last.pt"
"""The file to resume from; too large and too short-lived for an artefact."""


def store_uri(root: Path) -> str:
    """Return where the tracking store is: in a folder, unless ``MLFLOW_TRACKING_URI`` says."""
    return os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{root / DATABASE}")


def connect(root: Path, experiment: str) -> tuple[MlflowClient, str]:
    """Open the tracking store in a folder, made if absent, and return the id of an experiment.

    The environment variable ``MLFLOW_TRACKING_URI`` names another store.
    """
    root.mkdir(parents=True, exist_ok=True)
    # MLflow creates its tables without a lock; two first runs at a time would collide
    with FileLock(root / ".lock"):
        client = MlflowClient(tracking_uri=store_uri(root))
        found = client.get_experiment_by_name(experiment)
        if found is not None:
            return client, str(found.experiment_id)
        artifacts = (root / "artifacts" / experiment).as_uri()
        local = "MLFLOW_TRACKING_URI" not in os.environ
        return client, str(client.create_experiment(experiment, artifacts if local else None))


class Tracking:
    """One MLflow run for one execution.

    The database is ``root/mlflow.db`` and the artefacts lie in ``root/artifacts``; the environment
    variable ``MLFLOW_TRACKING_URI`` names another store, a server for instance.

    Args:
        root: folder of the tracking store; made if absent.
        experiment: the bundle's name.
        run_name: unique, see :func:`pipeline.training.unique_run_name`.
        tags: what to find the run by: bundle, paper, datalist hash, ….
        parent: id of the run that this one belongs to, if any.

    Raises:
        ValueError: made outside a bundle run, whose config it records.
    """

    def __init__(
        self,
        root: str,
        experiment: str,
        run_name: str,
        tags: Mapping[str, Any],
        parent: str | None = None,
    ) -> None:
        self.root, self.experiment, self.run_name = Path(root).resolve(), experiment, run_name
        self.workflow = running_workflow()
        self.tags = {**tags, **({"mlflow.parentRunId": parent} if parent else {})}
        self.run_id: str | None = None

    def start(self) -> str:
        """Open the run, once, with its parameters, tags and executed config; return its id."""
        if self.run_id is None:
            self.client, experiment = connect(self.root, self.experiment)
            self.run_id = self.client.create_run(experiment, run_name=self.run_name).info.run_id
            parameters = flat_parameters(self.workflow.parser)
            self.client.log_batch(
                self.run_id,
                params=[Param(key, value) for key, value in parameters.items()],
                tags=[RunTag(key, str(value)) for key, value in self._all_tags().items()],
            )
            save_executed_config(self.workflow.parser, self.log_artifact)
        return self.run_id

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record numbers at a step (an epoch); other values are passed over."""
        now = int(time.time() * 1000)
        numbers = {k: float(v) for k, v in metrics.items() if isinstance(v, (int, float))}
        self.client.log_batch(
            self.start(), metrics=[Metric(k, v, now, step) for k, v in numbers.items()]
        )

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Copy a file into the run's artefacts."""
        self.client.log_artifact(self.start(), str(path), folder)

    def end(self, error: BaseException | None = None) -> None:
        """Close the run: FINISHED, KILLED after an interruption, FAILED after an error."""
        if self.run_id is None:
            return
        killed = isinstance(error, (KeyboardInterrupt, SystemExit))
        status = "KILLED" if killed else "FAILED" if error else "FINISHED"
        if error is not None:
            self.client.set_tag(self.run_id, "error", f"{type(error).__name__}: {error}"[:5000])
        self.client.set_terminated(self.run_id, status)

    @contextmanager
    def recorded(self) -> Iterator["Tracking"]:
        """Open the run for a block and close it by how the block ends."""
        self.start()
        try:
            yield self
        except BaseException as error:
            self.end(error)
            raise
        self.end()

    def history(self, run_id: str | None) -> dict[str, list[tuple[int, float]]]:
        """Return every metric of a run as (epoch, value) pairs; nothing where it is not known."""
        try:
            names = self.client.get_run(run_id).data.metrics
        except MlflowException:
            return {}
        return {
            name: [
                (point.step, point.value) for point in self.client.get_metric_history(run_id, name)
            ]
            for name in names
        }

    def _all_tags(self) -> dict[str, Any]:
        files = Path(self.workflow.config_root_path)
        return {
            "run": self.workflow.run_id,
            "git_commit": git_commit(files),
            "torch": torch.__version__,
            **self.tags,
        }


class TrackTraining:
    """Record a training: metrics of every epoch, overlays and the best model.

    Args:
        tracking: the run.
        validator: the engine whose metrics stand beside the trainer's.
        folder: whose files become artefacts when training ends: best model, its record, overlays.
        dataset_dir: of the cohort, or of a fold in it; what ``unet-school data check`` wrote there
            is recorded too.
    """

    def __init__(
        self, tracking: Tracking, validator: Engine, folder: str, dataset_dir: str
    ) -> None:
        self.tracking, self.validator, self.folder = tracking, validator, Path(folder)
        data = Path(dataset_dir).resolve()
        cohort = data.parents[1] if data.parent.name == "folds" else data
        self.check = cohort / "check"

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer, after all other handlers."""
        if idist.get_rank():  # one process speaks for all
            return
        engine.add_event_handler(Events.STARTED, self.tracking.start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._log_epoch)
        engine.add_event_handler(Events.COMPLETED, self._complete)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _log_epoch(self, engine: Engine) -> None:
        rows = {f"train_{name}": value for name, value in engine.state.metrics.items()}
        if self.validator.state.epoch == engine.state.epoch:
            rows |= {f"val_{name}": value for name, value in self.validator.state.metrics.items()}
        rows["learning_rate"] = engine.optimizer.param_groups[0]["lr"]
        self.tracking.log_metrics(rows, step=engine.state.epoch)

    def _complete(self) -> None:
        for path in sorted(self.check.glob("*.*")):
            self.tracking.log_artifact(path, "data")
        for path in sorted(self.folder.glob("*")):
            if path.is_file() and path.name != LAST:
                self.tracking.log_artifact(path)
        self.tracking.end()

    def _fail(self, error: BaseException) -> None:
        self.tracking.end(error)
        last = self.folder / LAST
        if isinstance(error, (KeyboardInterrupt, SystemExit)) and last.is_file():
            print(f"to go on from the last whole epoch: --resume {last}", file=sys.stderr)
        raise error


def training_run(model: str) -> str | None:
    """Return the id of the MLflow run that trained a model, as the record beside it says.

    Raises:
        FileNotFoundError: there is no record.
        ValueError: the record belongs to other weights.
    """
    run_id: str | None = read_record(Path(model)).get("mlflow_run_id")
    return run_id
