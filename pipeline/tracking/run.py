"""One execution of a bundle, and its record in MLflow that stays right.

MONAI's own handler continues any unfinished run of an experiment, leaves a crashed run RUNNING,
logs two parameters, and two processes that create one database at a time collide. Here each
execution is one run of its own that ends FINISHED, FAILED or KILLED.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from mlflow.entities import Metric

from pipeline.bundle.network_names import network_name
from pipeline.bundle.places import run_kind
from pipeline.bundle.received import contained
from pipeline.bundle.workflow import running_workflow
from pipeline.claims import claim
from pipeline.data.datalist import datalist_sha256
from pipeline.interruption import uninterrupted
from pipeline.plain_text import plain_tag
from pipeline.provenance import git_commit
from pipeline.tracking.connection import DATABASE, StoreError, connect, store_errors
from pipeline.tracking.datasets import dataset_inputs
from pipeline.tracking.dead_runs import close_dead_runs, process_tags
from pipeline.tracking.description import NOTE, description
from pipeline.tracking.executed_config import flat_parameters, save_executed_config
from pipeline.tracking.metric_log import MetricLog
from pipeline.tracking.run_name import experiment_name
from pipeline.tracking.stored_run import (
    History,
    begin_run,
    history_of,
    missing_metrics,
    reopen_run,
    status_of,
    stored_run,
    warn_unrecorded_end,
)


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
        is_recorded: whether the run ended without an error and the store has all of it.
        metric_log: the metrics of every epoch, whatever becomes of the store.
        datalist_sha256: hash that identifies the cohort and its split.
        claim: on the folder, which is held from :meth:`start` to :meth:`end`.

    The store is reached when the run is made, before any data is read.

    Raises:
        FileNotFoundError: no such cohort.
        StoreError: the tracking store cannot be written.
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
        self.folder, self.dataset_dir = contained(folder, "--output_dir"), dataset_dir
        self.store = contained(tracking_dir, "--tracking_dir").resolve()
        self.seed, self.device, self.parent = seed, str(device), parent
        self.own_tags = {name: plain_tag(value) for name, value in (tags or {}).items()}
        self.datalist_sha256 = datalist_sha256(dataset_dir)
        self.workflow = running_workflow()
        self.id: str | None = None
        self.is_recorded = False
        self.metric_log = MetricLog(self.folder)
        self._interrupted: tuple[str | None, int] | None = None
        self._history: History | None = None
        self.claim = claim(self.folder)
        if not idist.get_rank():  # one process speaks for all
            self.client, self._experiment = connect(self.store, self.bundle)

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

    def resume(self, mlflow_run_id: str | None, epoch: int) -> None:
        """Go on with an interrupted run, from an epoch; before anything is recorded.

        A run that the store does not have is begun anew, and printed.

        Args:
            mlflow_run_id: of the interrupted run.
            epoch: after which it goes on.
        """
        self._interrupted = (mlflow_run_id, epoch)

    def start(self) -> str:
        """Open the MLflow run, once, with parameters, tags and executed config; return its id.

        Runs of this host whose process is gone are closed as KILLED.

        Raises:
            StoreError: the store failed.
            ValueError: another run writes to the folder.
        """
        if self.id is None:
            self.claim.acquire()
            try:
                with self.storing():
                    close_dead_runs(self.client)
                    self.id = self._reopened() or self._begun()
                    save_executed_config(self.workflow.parser, self.log_artifact)
            except BaseException as error:
                self._give_up(error)
                raise
        return self.id

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record numbers at a step (an epoch); other values are passed over.

        Raises:
            StoreError: the store failed.
        """
        now = int(time.time() * 1000)
        run_id = self.start()
        rows = [
            Metric(name, float(value), now, step)
            for name, value in metrics.items()
            if isinstance(value, (int, float))
        ]
        with self.storing():
            self.client.log_batch(run_id, metrics=rows)

    def send_epochs(self) -> list[int]:
        """Record the epochs of :attr:`metric_log` that the store has not yet, and return them.

        Raises:
            StoreError: the store failed.
        """
        run_id = self.start()
        history, self._history = self._history, None  # asked for again after a failure
        with self.storing():
            if history is None:
                history = history_of(self.client, self.client.get_run(run_id))
            metrics = missing_metrics(self.metric_log.read(), history)
            self.client.log_batch(run_id, metrics=metrics)
        for metric in metrics:
            history.setdefault(metric.key, []).append((metric.step, metric.value))
        self._history = history
        return sorted({metric.step for metric in metrics})

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Copy a file into the run's artefacts.

        Raises:
            StoreError: the store failed.
        """
        run_id = self.start()
        with self.storing():
            self.client.log_artifact(run_id, str(path), folder)

    def log_folder(self, root: Path) -> None:
        """Copy every file below a folder into the run's artefacts."""
        for path in sorted(root.rglob("*")):
            if path.is_file():
                inside = path.parent.relative_to(root)
                self.log_artifact(path, None if inside == Path() else str(inside))

    def set_tag(self, name: str, value: str) -> None:
        """Tag the run.

        Raises:
            StoreError: the store failed.
        """
        run_id = self.start()
        with self.storing():
            self.client.set_tag(run_id, name, plain_tag(value))

    def end(self, error: BaseException | None = None) -> None:
        """Close the run: FINISHED, KILLED after an interruption, FAILED after an error.

        A further interruption waits until this is done.

        Raises:
            StoreError: the store failed; the folder is free all the same.
        """
        with uninterrupted():
            try:
                with self.storing():
                    self._terminate(error)
            finally:
                self.claim.release()
        self.is_recorded = error is None and self.id is not None

    @contextmanager
    def recorded(self) -> Iterator["Run"]:
        """Open the run for a block and close it by how the block ends.

        Raises:
            StoreError: the store failed; what the block has written to the folder stays.
        """
        self.start()
        try:
            yield self
            self.end()
        except StoreError as error:
            self._give_up(error)
            raise StoreError(
                f"{error}; what was computed is in {self.folder}, but not recorded: run it again "
                "when the store is back"
            ) from None
        except BaseException as error:
            self._give_up(error)
            raise

    def history(self, run_id: str | None) -> History:
        """Return every metric of a run as (epoch, value) pairs; nothing where it is unknown.

        Raises:
            StoreError: the store failed.
        """
        with self.storing():
            run = stored_run(self.client, run_id)
            return history_of(self.client, run) if run else {}

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

    def storing(self) -> AbstractContextManager[None]:
        """Return a context in which a failure of the store is a :class:`StoreError`."""
        return store_errors(self.store / DATABASE)

    def _begun(self) -> str:
        run_id = begin_run(
            self.client,
            self._experiment,
            self.name,
            self._parameters(),
            # a resumed run keeps its description, which a person may have changed
            {NOTE: description(self.workflow, self.folder), **self._all_tags()},
        )
        self._history = {}
        inputs = dataset_inputs(run_kind(self.workflow), self.dataset_dir, self.datalist_sha256)
        self.client.log_inputs(run_id, inputs)
        return run_id

    def _reopened(self) -> str | None:
        """Reopen the interrupted run that this one goes on with, if the store has it."""
        if self._interrupted is None:
            return None
        run_id, epoch = self._interrupted
        run = stored_run(self.client, run_id)
        if run is None:
            print(f"{self.name}: not in the tracking store any more; recorded as a new run")
            return None
        return reopen_run(self.client, run, epoch, self._parameters(), self._all_tags())

    def _parameters(self) -> dict[str, str]:
        return flat_parameters(self.workflow.parser)

    def _terminate(self, error: BaseException | None) -> None:
        if self.id is None:
            return
        if error is not None:
            self.client.set_tag(self.id, "error", plain_tag(f"{type(error).__name__}: {error}"))
        self.client.set_terminated(self.id, status_of(error))

    def _give_up(self, error: BaseException) -> None:
        try:
            self.end(error)
        except StoreError as failure:
            if not isinstance(error, StoreError):  # which says the same
                warn_unrecorded_end(failure)

    def _all_tags(self) -> dict[str, str]:
        tags = {
            "run": self.workflow.run_id,
            "network": network_name(self.workflow.parser.config),
            "experiment": experiment_name(self.workflow),
            "git_commit": git_commit(Path(self.workflow.config_root_path)),
            "torch": torch.__version__,
            "dataset_dir": Path(self.dataset_dir).absolute(),
            **process_tags(self.folder),
            **self.tags,
            **({"mlflow.parentRunId": self.parent} if self.parent else {}),
        }
        return {name: str(value) for name, value in tags.items() if value != ""}
