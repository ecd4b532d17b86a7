"""Recording a training in MLflow, whatever becomes of the store meanwhile."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import ignite.distributed as idist
from ignite.engine import Engine, Events

from pipeline.inference.trained_model import read_record, record_path, write_record
from pipeline.interruption import uninterrupted
from pipeline.next_command import typed_command
from pipeline.states import PREVIOUS_STATE, STATE
from pipeline.tracking import Run
from pipeline.tracking.connection import StoreError
from pipeline.tracking.datasets import split_dataset
from pipeline.tracking.executed_config import EXECUTED
from pipeline.tracking.logged_models import CHAMPION, log_best_model, name_champion
from pipeline.tracking.metric_log import METRICS
from pipeline.tracking.store import MODEL
from pipeline.tracking.stored_run import warn_unrecorded_end

RETRY_SECONDS = 30.0
"""How long a store that failed is left alone."""

RECORDED_LATE = "recorded_late"
"""Tag of a run of which the store missed something for a while."""

SPLITS = {"train_": "training", "val_": "validation"}
"""Beginnings of the names of metrics, and the split that these are of."""

UNRECORDED = (STATE, PREVIOUS_STATE, METRICS, EXECUTED)
"""Files of a run's folder that are no artefacts: states, what MLflow has as metrics, and the
overlay that ``--run`` writes, which has the name of the whole config that MLflow has."""


class TrackTraining:
    """Record a training in MLflow: its epochs, overlays and best model, how it ends.

    The store is needed to begin. Later its failure is a warning: the epochs wait in
    ``metrics.jsonl`` and are sent when it is back, at the latest when the training ends.

    What ``unet-school data check`` wrote in the cohort is recorded, too.

    Args:
        run: the training; the files in its folder become artefacts when it ends.
        clock: seconds of a clock that only goes forward.
        is_registered: whether its model is registered as the bundle's.
    """

    def __init__(
        self,
        run: Run,
        clock: Callable[[], float] = time.monotonic,
        is_registered: bool = True,
    ) -> None:
        self.run, self.clock, self.is_registered = run, clock, is_registered
        data = Path(run.dataset_dir).resolve()
        cohort = data.parents[1] if data.parent.name == "folds" else data
        self.check = cohort / "check"
        self.has_failed = self.is_late = False
        self.next_attempt = 0.0

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer, after the handler that saves its state."""
        if idist.get_rank():  # one process speaks for all
            return
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._send_epochs)
        engine.add_event_handler(Events.COMPLETED, self._complete)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _start(self, engine: Engine) -> None:
        self.run.metric_log.keep_until(engine.state.epoch)
        self.run.start()
        self._name_run_in_record()
        self.is_late = bool(self.run.send_epochs())

    def _name_run_in_record(self) -> None:
        """Name this run in the record of a model whose run the store lost."""
        model = self.run.folder / MODEL
        if record_path(model).is_file():
            record = read_record(model)
            write_record(model, record.model_copy(update={"mlflow_run_id": self.run.id}))

    def _send_epochs(self) -> None:
        if self.has_failed and self.clock() < self.next_attempt:
            return
        try:
            self._send()
        except StoreError as error:
            self._postpone(error)

    def _send(self) -> None:
        self.run.send_epochs()
        if self.is_late:
            self.run.set_tag(RECORDED_LATE, "true")
        if self.has_failed:
            print("the tracking store is back and has every epoch", file=sys.stderr)
        self.has_failed = False

    def _postpone(self, error: StoreError) -> None:
        if not self.has_failed:
            print(
                f"warning: {error}; training goes on, its metrics wait in "
                f"{self.run.folder / METRICS}",
                file=sys.stderr,
            )
        self.has_failed = self.is_late = True
        self.next_attempt = self.clock() + RETRY_SECONDS

    def _complete(self) -> None:
        try:
            self._send()
            self._send_files()
            self._send_model()
            self.run.end()
        except StoreError as error:
            self.run.claim.release()
            bundle = Path(self.run.workflow.config_root_path).parent
            command = typed_command("train", bundle, "--resume", self.run.folder)
            print(
                f"warning: {error}; the training is whole, its record is not: when the store is "
                f"back, {command} records it",
                file=sys.stderr,
            )
            return
        self._name_champion()

    def _send_model(self) -> None:
        """Record the best model, with the metrics of its epoch for each data set."""
        run, record = self.run, read_record(self.run.folder / MODEL)
        epochs = [line for line in run.metric_log.read() if line.epoch == record.epoch]
        datasets = {
            prefix: split_dataset(run.dataset_dir, split, run.datalist_sha256)
            for prefix, split in SPLITS.items()
        }
        with run.storing():
            training = run.client.get_run(run.id)
            for epoch in epochs:  # none, where the file of the epochs was lost
                log_best_model(run.client, training, epoch, record.sha256, datasets)

    def _name_champion(self) -> None:
        """Register what is published; what a fold or a comparison trains is not."""
        run = self.run
        if run.parent is not None or not self.is_registered:
            return
        try:
            sha256 = read_record(run.folder / MODEL).sha256
            with run.storing():
                name_champion(run.client, run.bundle, run.client.get_run(run.id), MODEL, sha256)
        except StoreError as error:
            print(
                f"warning: {error}; the training is recorded, the alias {CHAMPION} still names "
                "the model before it",
                file=sys.stderr,
            )

    def _send_files(self) -> None:
        for path in sorted(self.check.glob("*.*")):
            self.run.log_artifact(path, "data")
        for path in sorted(self.run.folder.glob("*")):
            if path.is_file() and path.name not in UNRECORDED:
                self.run.log_artifact(path)

    def _fail(self, error: BaseException) -> None:
        if self.run.id is not None:
            self._end(error)
        self.run.claim.release()
        raise error

    def _end(self, error: BaseException) -> None:
        with uninterrupted():
            try:
                self._send()
                self.run.end(error)
            except StoreError as failure:
                self.run.claim.release()
                warn_unrecorded_end(failure)
