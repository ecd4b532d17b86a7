"""The best model so far, and the last state to resume from."""

import io
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from torch.nn.parallel import DistributedDataParallel

from pipeline.files import atomic, sha256, write_json
from pipeline.inference.trained_model import read_record
from pipeline.networks.weights import load_weights, read_checkpoint
from pipeline.training.data import image_hashes
from pipeline.tracking.run import LAST, Tracking

MODEL, RECORD = "model.pt", "model.json"
TRAINER_STATE = ("epoch", "iteration", "best_score", "best_epoch")


def write_tensors(path: Path, content: Mapping[str, Any]) -> None:
    """Write tensors and plain values, atomically.

    They are serialised in memory first: on a full disk torch's own writer hides the reason.

    Raises:
        OSError: there is no room, or the folder cannot be written.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with atomic(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


class Stateful(Protocol):
    """What can be saved and restored: a network, an optimiser, a scheduler, an engine."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> object:
        """Take a state."""


def bare(part: Any) -> Any:
    """Return what is replicated over processes without its wrapper, and all else as it is."""
    return part.module if isinstance(part, DistributedDataParallel) else part


class KeepBest:
    """Keep the network of the best validation, and stop when it is long ago.

    The trainer's state tells the other handlers: ``best_epoch``, and ``best_score``, which is
    higher for a better validation.

    Writes ``model.pt``, a plain state dict, and ``model.json``, which says where it comes from, to
    ``folder`` after each better validation; copies both to ``publish_to`` when training ends, so
    that evaluation and inference find the newest finished model there.

    Args:
        network: what to save.
        validator: the engine whose metrics decide; it has run before this handler.
        metric: name of the metric; ``loss`` is better when lower, all others when higher.
        folder: of this run alone.
        publish_to: the bundle's ``models`` folder.
        tracking: the run, whose id ``model.json`` holds.
        record: what else ``model.json`` says: bundle, datalist, ….
        dataset_dir: of the cohort; ``model.json`` holds the hashes of its training and validation
            images, by which an evaluation refuses them as test images.
        patience: epochs without a better validation after which training stops; 0 for never.
        init_from: weights that training went on from; ``model.json`` holds their images, too.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        validator: Engine,
        metric: str,
        folder: str,
        publish_to: str,
        tracking: Tracking,
        record: Mapping[str, Any],
        dataset_dir: str,
        patience: int = 0,
        init_from: str | None = None,
    ) -> None:
        self.network, self.validator = bare(network), validator
        self.metric, self.patience, self.record = metric, patience, record
        before = {} if init_from is None else read_record(Path(init_from))
        seen = {*image_hashes(dataset_dir, "training"), *before.get("trained_on", ())}
        judged_by = {*image_hashes(dataset_dir, "validation"), *before.get("chosen_on", ())}
        self.trained_on, self.chosen_on = sorted(seen), sorted(judged_by)
        self.tracking = tracking
        self.folder, self.publish_to = Path(folder), Path(publish_to)

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer, after its validation handler."""
        engine.state.best_score, engine.state.best_epoch = -math.inf, 0
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._compare)
        engine.add_event_handler(Events.COMPLETED, self._publish)

    def _compare(self, engine: Engine) -> None:
        state = engine.state
        if self.validator.state.epoch != state.epoch:  # not validated in this epoch
            return
        value = self._value()
        score = -value if self.metric == "loss" else value
        if score > state.best_score:
            state.best_score, state.best_epoch = score, state.epoch
            self._save(state.epoch, value)
        elif self.patience and state.epoch - state.best_epoch >= self.patience:
            engine.terminate()

    def _value(self) -> float:
        metrics = self.validator.state.metrics
        if self.metric not in metrics:
            known = ", ".join(sorted(metrics))
            raise ValueError(f"key_metric: validation has no '{self.metric}'; it has {known}")
        return float(metrics[self.metric])

    @idist.one_rank_only()
    def _save(self, epoch: int, value: float) -> None:
        write_tensors(self.folder / MODEL, self.network.state_dict())
        write_json(
            self.folder / RECORD,
            {
                **self.record,
                "mlflow_run_id": self.tracking.run_id,
                "epoch": epoch,
                f"val_{self.metric}": value,
                "sha256": sha256(self.folder / MODEL),
                "trained_on": self.trained_on,
                "chosen_on": self.chosen_on,
            },
        )

    def _publish(self, engine: Engine) -> None:
        if not engine.state.best_epoch:
            raise ValueError(
                f"val_interval: no validation in {engine.state.epoch} epochs, so there is no best "
                f"model; lower val_interval, or go on with more max_epochs and --resume "
                f"{self.folder / LAST}"
            )
        self._copy()

    @idist.one_rank_only()
    def _copy(self) -> None:
        for name in (MODEL, RECORD):
            with atomic(self.publish_to / name) as temporary:
                shutil.copyfile(self.folder / name, temporary)


class KeepLast:
    """Save the whole state of the training after each epoch, and resume from such a file.

    The random states need no saving: :class:`pipeline.training.SeedEachEpoch` derives them from
    the seed and the epoch.

    Args:
        folder: of this run alone; the file is ``last.pt``.
        state: what makes up the training: network, optimiser, scheduler, ….
        seed: of the run; a resumed run must have the same.
        datalist: hash of the cohort's datalist; a resumed run must have the same, since the record
            of the model tells what it was trained on.
        resume: ``last.pt`` of an interrupted run, or ``None`` to start afresh.
    """

    def __init__(
        self,
        folder: str,
        state: Mapping[str, Stateful],
        seed: int,
        datalist: str,
        resume: str | None = None,
    ) -> None:
        self.path = Path(folder) / LAST
        self.state = {name: bare(part) for name, part in state.items()}
        self.seed, self.datalist, self.resume = seed, datalist, resume

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer, after every handler whose state it saves."""
        if self.resume:
            engine.add_event_handler(Events.STARTED, self._load)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save)

    @idist.one_rank_only()
    def _save(self, engine: Engine) -> None:
        content = {name: part.state_dict() for name, part in self.state.items()}
        content["run"] = {"seed": self.seed, "datalist": self.datalist}
        content["trainer"] = {name: getattr(engine.state, name) for name in TRAINER_STATE}
        write_tensors(self.path, content)

    def _load(self, engine: Engine) -> None:
        path = Path(str(self.resume))
        content = read_checkpoint(path)
        if set(content) != {*self.state, "run", "trainer"}:
            raise ValueError(f"{path}: not a {LAST} of this bundle; give one to --resume")
        if content["run"]["seed"] != self.seed:
            raise ValueError(
                f"{path}: was trained with --seed {content['run']['seed']}, not {self.seed}; "
                "resume with the same seed"
            )
        if content["run"]["datalist"] != self.datalist:
            raise ValueError(
                f"{path}: was trained on another cohort or split; resume with the same "
                "--dataset_dir, as it was then"
            )
        if content["trainer"]["epoch"] >= engine.state.max_epochs:
            raise ValueError(
                f"{path}: has all {content['trainer']['epoch']} epochs; "
                "raise --max_epochs to train on"
            )
        for name, part in self.state.items():
            if isinstance(part, torch.nn.Module):
                load_weights(part, content[name], path)
            else:
                part.load_state_dict(content[name])
        for name in TRAINER_STATE:
            setattr(engine.state, name, content["trainer"][name])
        self._take_best(path.parent)

    @idist.one_rank_only()
    def _take_best(self, interrupted: Path) -> None:
        """Copy the interrupted run's best model, in case no later epoch beats it."""
        for name in (MODEL, RECORD):
            if (interrupted / name).is_file():
                with atomic(self.path.parent / name) as temporary:
                    shutil.copyfile(interrupted / name, temporary)


class KeepEpochs:
    """Keep the network's weights after every epoch, for what is measured against the epoch.

    A resumed run has its epochs in the same folder, so that none is missing.

    Args:
        network: what to save.
        folder: of all runs of one training; the files are ``epoch=1.pt``, ….
    """

    def __init__(self, network: torch.nn.Module, folder: str) -> None:
        self.network, self.folder = bare(network), Path(folder)

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer, after :class:`KeepLast`, which may load an epoch."""
        engine.add_event_handler(Events.STARTED, self._save)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save)

    @idist.one_rank_only()
    def _save(self, engine: Engine) -> None:
        if engine.state.epoch:
            path = self.folder / f"epoch={engine.state.epoch}.pt"
            write_tensors(path, self.network.state_dict())
