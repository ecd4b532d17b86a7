"""One execution of a bundle, and its record in MLflow that stays right.

MONAI's own handler continues any unfinished run of an experiment, leaves a crashed run RUNNING,
logs two parameters, and two processes that create one database at a time collide. Here each
execution is one run of its own that ends FINISHED, FAILED or KILLED.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from pipeline.bundle.workflow import running_workflow
from pipeline.claims import claim
from pipeline.data.datalist import datalist_sha256
from pipeline.provenance import git_commit
from pipeline.tracking.executed_config import flat_parameters, save_executed_config

DATABASE = "mlflow.db"


def store_uri(root: Path) -> str:
    """Return where the tracking store is: in a folder, unless ``MLFLOW_TRACKING_URI`` says."""
    return os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{root / DATABASE}")


def open_client(root: Path) -> MlflowClient:
    """Open the tracking store in a folder, or the one that ``MLFLOW_TRACKING_URI`` names.

    Raises:
        ValueError: another version of MLflow made its tables.
    """
    uri = store_uri(root)
    try:
        return MlflowClient(tracking_uri=uri)
    except MlflowException as error:
        if "database schema" not in str(error):
            raise
        local = "MLFLOW_TRACKING_URI" not in os.environ
        # an address may hold a password
        name, address = (str(root / DATABASE), uri) if local else ("MLFLOW_TRACKING_URI", "URI")
        raise ValueError(
            f"{name}: a tracking store whose tables another version of MLflow made; copy it, then "
            f"run: mlflow db upgrade {address}"
        ) from None


def connect(root: Path, experiment: str) -> tuple[MlflowClient, str]:
    """Open the tracking store in a folder, made if absent, and return the id of an experiment.

    The environment variable ``MLFLOW_TRACKING_URI`` names another store.

    Raises:
        ValueError: another version of MLflow made its tables.
    """
    root.mkdir(parents=True, exist_ok=True)
    # MLflow creates its tables without a lock; two first runs at a time would collide
    with FileLock(root / ".lock"):
        client = open_client(root)
        existing = client.get_experiment_by_name(experiment)
        if existing is not None:
            return client, str(existing.experiment_id)
        artifacts = (root / "artifacts" / experiment).as_uri()
        local = "MLFLOW_TRACKING_URI" not in os.environ
        return client, str(client.create_experiment(experiment, artifacts if local else None))


class Run:
    """One execution of a bundle: what it is called, where it writes, and its MLflow run.

    The database is ``tracking_dir/mlflow.db`` and the artefacts lie in ``tracking_dir/artifacts``;
    the environment variable ``MLFLOW_TRACKING_URI`` names another store, a server for instance.
    Each execution is one MLflow run that ends FINISHED, FAILED or KILLED.

    Args:
        bundle: name of the bundle, and of the experiment in MLflow.
        name: unique, see :func:`pipeline.tracking.unique_run_name`.
        folder: where the run writes.
        dataset_dir: of the cohort.
        tracking_dir: folder of the tracking store; made if absent.
        seed: of every generator.
        device: that it computes on.
        tags: what to find the run by, beside bundle, device and cohort: paper, experiment, ….
        parent: id of the MLflow run that this one belongs to, if any.

    Attributes:
        id: of the MLflow run; None before :meth:`start`.
        datalist_sha256: hash that identifies the cohort and its split.
        claim: on the folder, which is held from :meth:`start` to :meth:`end`.

    Raises:
        FileNotFoundError: no such cohort.
        ValueError: made outside a bundle run, whose config it records.
    """

    def __init__(
        self,
        bundle: str,
        name: str,
        folder: str,
        dataset_dir: str,
        tracking_dir: str,
        seed: int = 0,
        device: torch.device | str = "cpu",
        tags: Mapping[str, Any] | None = None,
        parent: str | None = None,
    ) -> None:
        self.bundle, self.name = bundle, name
        self.folder, self.dataset_dir = Path(folder), dataset_dir
        self.claim = claim(self.folder)
        self.store, self.seed, self.device = Path(tracking_dir).resolve(), seed, str(device)
        self.own_tags, self.parent = dict(tags or {}), parent
        self.datalist_sha256 = datalist_sha256(dataset_dir)
        self.workflow = running_workflow()
        self.id: str | None = None
        self.is_recorded = False

    def resume(self, mlflow_run_id: str | None, epoch: int) -> None:
        """Go on with an interrupted run."""
        self.claim.acquire()
        self.client, _ = connect(self.store, self.bundle)
        self.client.update_run(mlflow_run_id, status="RUNNING")
        self.client.set_tag(mlflow_run_id, "resumed_at_epoch", str(epoch))
        self.id = mlflow_run_id

    @property
    def tags(self) -> dict[str, Any]:
        """What describes the run in MLflow and in the record of a model."""
        return {
            "bundle": self.bundle,
            "run_name": self.name,
            "device": self.device,
            "datalist_sha256": self.datalist_sha256,
            **self.own_tags,
        }

    def start(self) -> str:
        """Open the MLflow run, once, with parameters, tags and executed config; return its id."""
        if self.id is None:
            self.claim.acquire()
            self.client, experiment = connect(self.store, self.bundle)
            self.id = str(self.client.create_run(experiment, run_name=self.name).info.run_id)
            parameters = flat_parameters(self.workflow.parser)
            self.client.log_batch(
                self.id,
                params=[Param(key, value) for key, value in parameters.items()],
                tags=[RunTag(key, str(value)) for key, value in self._all_tags().items()],
            )
            save_executed_config(self.workflow.parser, self.log_artifact)
        return self.id

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record numbers at a step (an epoch); other values are passed over."""
        now = int(time.time() * 1000)
        numbers = {k: float(v) for k, v in metrics.items() if isinstance(v, (int, float))}
        run_id = self.start()
        self.client.log_batch(run_id, metrics=[Metric(k, v, now, step) for k, v in numbers.items()])

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Copy a file into the run's artefacts."""
        run_id = self.start()
        self.client.log_artifact(run_id, str(path), folder)

    def log_folder(self, root: Path) -> None:
        """Copy every file below a folder into the run's artefacts."""
        for path in sorted(root.rglob("*")):
            if path.is_file():
                inside = path.parent.relative_to(root)
                self.log_artifact(path, None if inside == Path() else str(inside))

    def end(self, error: BaseException | None = None) -> None:
        """Close the run: FINISHED, KILLED after an interruption, FAILED after an error."""
        try:
            self._close(error)
        finally:
            self.claim.release()

    def _close(self, error: BaseException | None) -> None:
        if self.id is None:
            return
        killed = isinstance(error, (KeyboardInterrupt, SystemExit))
        status = "KILLED" if killed else "FAILED" if error else "FINISHED"
        if error is not None:
            self.client.set_tag(self.id, "error", f"{type(error).__name__}: {error}"[:5000])
        self.client.set_terminated(self.id, status)
        self.is_recorded = error is None

    @contextmanager
    def recorded(self) -> Iterator["Run"]:
        """Open the run for a block and close it by how the block ends."""
        try:
            self.start()
            yield self
        except BaseException as error:
            self.end(error)
            raise
        self.end()

    def history(self, run_id: str | None) -> dict[str, list[tuple[int, float]]]:
        """Return every metric of a run as (epoch, value) pairs; nothing where it is unknown."""
        self.start()
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

    def executed(self) -> dict[str, Any]:
        """By which code and config, and where, the run is executed."""
        text = json.dumps(self.workflow.parser.config, sort_keys=True, default=str)
        return {
            "code": git_commit(Path(__file__).parent),
            "config_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "seed": self.seed,
            "device": self.device,
        }

    def where(self) -> str:
        """Say where the run stands in MLflow."""
        return f"{self.name} in experiment {self.bundle}"

    def _all_tags(self) -> dict[str, Any]:
        return {
            "run": self.workflow.run_id,
            "git_commit": git_commit(Path(self.workflow.config_root_path)),
            "torch": torch.__version__,
            "folder": str(self.folder.absolute()),
            "dataset_dir": str(Path(self.dataset_dir).absolute()),
            **self.tags,
            **({"mlflow.parentRunId": self.parent} if self.parent else {}),
        }
