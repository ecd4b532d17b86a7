"""Saving the state of a training after each epoch, going on from it, and finishing once."""

import json
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events, State
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from pipeline.bundle.restarted import forget_run
from pipeline.bundle.restore import executed_config
from pipeline.data.datalist import read_datalist
from pipeline.files import remove_unfinished, shown
from pipeline.networks.weights import load_weights
from pipeline.states import (
    FINISHED,
    STATE,
    has_state,
    mark_finished,
    read_state,
    remove_damaged_states,
    write_state,
)
from pipeline.tracking import Run
from pipeline.tracking.next_command import print_next_run, print_next_training
from pipeline.tracking.store import MODEL
from pipeline.training.checkpoints import bare
from pipeline.training.stopped import stopped_lines

TRAINER_STATE = ("epoch", "iteration", "best_score", "best_epoch", "stopped_early")


class Stateful(Protocol):
    """What can be saved and restored: a network, an optimiser, a scheduler, an engine."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> object:
        """Take a state."""


class KeepLast:
    """Save the whole state of the training after each epoch, and resume from such a state.

    The random states need no saving: :class:`pipeline.training.SeedEachEpoch` derives them from
    the seed and the epoch. A state that has all its epochs is resumed, too: nothing is trained, and
    what follows the last epoch is done. A training of more epochs than it was begun with goes on as
    if it had been begun with them: its schedule is stepped to the epoch.

    Args:
        run: the training; the state is in its folder, see :mod:`pipeline.states`.
        state: what makes up the training: network, optimiser, scheduler, ….
        resume: state of an interrupted run, or ``None`` to start afresh.
    """

    def __init__(self, run: Run, state: Mapping[str, Stateful], resume: str | None = None) -> None:
        self.run, self.resume, self.trains = run, resume, False
        self.state = {name: bare(part) for name, part in state.items()}

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer, after every handler whose state it saves."""
        engine.add_event_handler(Events.STARTED, self._load if self.resume else self._begin)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save)
        if not idist.get_rank():  # a handler would swallow the error of another process
            engine.add_event_handler(Events.EXCEPTION_RAISED, self._say_how_to_resume)

    def _begin(self) -> None:
        self.trains = True
        if not idist.get_rank():
            remove_unfinished(self.run.folder)
            remove_damaged_states(self.run.folder)

    @idist.one_rank_only()
    def _save(self, engine: Engine) -> None:
        content: dict[str, Any] = {name: part.state_dict() for name, part in self.state.items()}
        run = self.run
        content["run"] = {
            "name": run.name,
            "mlflow_run_id": run.id,
            "seed": run.seed,
            "datalist": run.datalist_sha256,
            "config": executed_config(run.workflow, run.name, run.folder),
        }
        content["trainer"] = {name: getattr(engine.state, name) for name in TRAINER_STATE}
        write_state(run.folder, content)

    def _load(self, engine: Engine) -> None:
        path = Path(str(self.resume))
        content = read_state(path)
        self._check(path, content)
        is_relengthed = self._is_relengthed(content)
        self._load_parts(path, content, is_relengthed)
        for name in TRAINER_STATE:
            setattr(engine.state, name, content["trainer"][name])
        self._go_on(engine)
        self.run.resume(content["run"]["mlflow_run_id"], engine.state.epoch)
        self._begin()

    def _go_on(self, engine: Engine) -> None:
        """Train on, or finish what has all its epochs or has waited long enough for a better one.

        Raises:
            ValueError: it is finished already.
        """
        state = engine.state
        reasons = self._reasons_to_stop(state)
        finished = self.run.folder / FINISHED
        if reasons and finished.is_file():
            raise ValueError(
                f"{self.run.folder}: is finished and published, with {state.epoch} epochs; raise "
                f"{' and '.join(reasons)} to train on"
            )
        if reasons:
            print(f"{self.run.name}: has all its {state.epoch} epochs; finishing", flush=True)
            engine.terminate()
        else:
            state.stopped_early = False
            finished.unlink(missing_ok=True)

    def _reasons_to_stop(self, state: State) -> list[str]:
        """Name the settings by which the training is over."""
        patience = self.run.workflow.parser.get_parsed_content("patience", default=0)
        has_waited = 0 < patience <= state.epoch - state.best_epoch
        over = {
            "--max_epochs": state.epoch >= state.max_epochs,
            "--patience": state.stopped_early and has_waited,
        }
        return [setting for setting, is_over in over.items() if is_over]

    def _is_relengthed(self, content: Mapping[str, Any]) -> bool:
        """Whether the training now has another number of epochs than when the state was saved."""
        now = self.run.workflow.parser.get("max_epochs")
        return bool(json.loads(content["run"]["config"]).get("max_epochs") != now)

    def _load_parts(self, path: Path, content: Mapping[str, Any], is_relengthed: bool) -> None:
        rates = self._rates(content["trainer"]["epoch"]) if is_relengthed else None
        for name, part in self.state.items():
            if isinstance(part, torch.nn.Module):
                load_weights(part, content[name], path)
            elif rates is None or not isinstance(part, LRScheduler):
                part.load_state_dict(content[name])
        for optimizer in (part for part in self.state.values() if isinstance(part, Optimizer)):
            for group, rate in zip(optimizer.param_groups, rates or (), strict=rates is not None):
                group["lr"] = rate

    def _rates(self, epoch: int) -> list[float] | None:
        """Step a new schedule to an epoch, and return the rates of it there.

        None: the schedule follows what it saw, which its state holds.
        """
        (scheduler,) = (part for part in self.state.values() if isinstance(part, LRScheduler))
        if isinstance(scheduler, ReduceLROnPlateau):
            return None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
            for _ in range(epoch):
                scheduler.step()
        return [float(rate) for rate in scheduler.get_last_lr()]

    def _check(self, path: Path, content: Mapping[str, Any]) -> None:
        if set(content) != {*self.state, "run", "trainer"}:
            raise ValueError(f"{path}: not a {STATE} of this bundle; give one to --resume")
        datalist = read_datalist(self.run.dataset_dir)
        if not datalist.is_identified_by(content["run"]["datalist"]):
            raise ValueError(
                f"{path}: was trained on another cohort or split; resume with the same "
                "--dataset_dir, as it was then"
            )

    def _say_how_to_resume(self, engine: Engine, error: BaseException) -> None:
        if not (self.trains and has_state(self.run.folder)):
            return
        lines = stopped_lines(self.run, engine.state.epoch, engine.state.max_epochs)
        print("\n".join(lines), file=sys.stderr, flush=True)


class Finish:
    """Say that a training is over, once its model is published and the tracking store has it.

    Args:
        run: the training.
        metric: by which the best epoch is judged.
        publish_to: the bundle's ``models`` folder.
        is_pretraining: whether a training begins with the model, and no evaluation.
    """

    def __init__(
        self, run: Run, metric: str, publish_to: str, is_pretraining: bool = False
    ) -> None:
        self.run, self.metric, self.publish_to = run, metric, Path(publish_to)
        self.is_pretraining = is_pretraining
        self.began = time.monotonic()

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer, after the handlers that publish and record."""
        engine.add_event_handler(Events.COMPLETED, self._finish)

    @idist.one_rank_only()
    def _finish(self, engine: Engine) -> None:
        if self.run.is_recorded:
            mark_finished(
                self.run.folder,
                {
                    "epochs": engine.state.epoch,
                    "published_to": str(self.publish_to.resolve()),
                    "mlflow_run_id": self.run.id,
                },
            )
        forget_run(self.publish_to)
        self._print_best(engine)
        if self.is_pretraining:
            print_next_training(self.run, self.publish_to / MODEL)
        elif self.run.is_recorded:
            print_next_run(self.run, "evaluate", self.run.name, self.publish_to / MODEL)

    def _print_best(self, engine: Engine) -> None:
        state = engine.state
        value = abs(state.best_score)
        print(
            f"best epoch  {state.best_epoch} of {state.epoch}: validation {self.metric} "
            f"{value:.4f}, after {time.monotonic() - self.began:.0f} s\n"
            f"model       {shown(self.publish_to / MODEL)}",
            flush=True,
        )
