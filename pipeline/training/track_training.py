"""Recording a training in MLflow: every epoch, and what it leaves."""

from pathlib import Path

import ignite.distributed as idist
from ignite.engine import Engine, Events

from pipeline.states import PREVIOUS_STATE, STATE
from pipeline.tracking import Run


class TrackTraining:
    """Record a training: metrics of every epoch, overlays and the best model.

    What ``unet-school data check`` wrote in the cohort is recorded, too.

    Args:
        run: the training; the files in its folder become artefacts when it ends.
        validator: the engine whose metrics stand beside the trainer's.
    """

    def __init__(self, run: Run, validator: Engine) -> None:
        self.run, self.validator = run, validator
        data = Path(run.dataset_dir).resolve()
        cohort = data.parents[1] if data.parent.name == "folds" else data
        self.check = cohort / "check"

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer, after all other handlers."""
        if idist.get_rank():  # one process speaks for all
            return
        engine.add_event_handler(Events.STARTED, self.run.start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._log_epoch)
        engine.add_event_handler(Events.COMPLETED, self._complete)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _log_epoch(self, engine: Engine) -> None:
        rows = {f"train_{name}": value for name, value in engine.state.metrics.items()}
        if self.validator.state.epoch == engine.state.epoch:
            rows |= {f"val_{name}": value for name, value in self.validator.state.metrics.items()}
        rows["learning_rate"] = engine.optimizer.param_groups[0]["lr"]
        self.run.log_metrics(rows, step=engine.state.epoch)

    def _complete(self) -> None:
        for path in sorted(self.check.glob("*.*")):
            self.run.log_artifact(path, "data")
        for path in sorted(self.run.folder.glob("*")):
            if path.is_file() and path.name not in (STATE, PREVIOUS_STATE):
                self.run.log_artifact(path)
        self.run.end()

    def _fail(self, error: BaseException) -> None:
        self.run.end(error)
        raise error
