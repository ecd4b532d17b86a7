"""The best model so far, and the weights of every epoch."""

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from torch.nn.parallel import DistributedDataParallel

from pipeline.bundle.received import contained
from pipeline.claims import MODEL_WAIT_SECONDS, claim
from pipeline.data.datalist import image_hashes, read_datalist
from pipeline.data.drift import describe_cohort
from pipeline.data.fingerprint import cohort_cases, inspect_cases
from pipeline.files import atomic, remove_unfinished, write_json
from pipeline.inference.input_check import FINGERPRINT
from pipeline.inference.trained_model import (
    read_record,
    record_path,
    save_model,
    serialise,
)
from pipeline.progress import Work
from pipeline.tracking import Run
from pipeline.tracking.store import MODEL
from pipeline.training.pretraining import Pretraining

TRAINING = "training"


def write_tensors(path: Path, content: Mapping[str, Any]) -> None:
    """Write tensors and plain values, atomically.

    Raises:
        OSError: there is no room, or the folder cannot be written.
    """
    with atomic(path) as temporary:
        temporary.write_bytes(serialise(content))


def bare(part: Any) -> Any:
    """Return what is replicated over processes without its wrapper, and all else as it is."""
    return part.module if isinstance(part, DistributedDataParallel) else part


LOWER_IS_BETTER = ("loss",)
"""Metrics that may judge an epoch and are better when lower; all others when higher."""


class KeepBest:
    """Keep the network of the best validation, and stop when it is long ago.

    The trainer's state shows it to the other handlers: ``best_epoch``, ``best_score``, which is
    higher for a better validation, and ``stopped_early``.

    Writes ``fingerprint.json``, a description of the training images, to the run's folder at the
    beginning; ``model.pt``, a plain state dict, and ``model.json``, its record, after each better
    validation; copies them to ``publish_to`` when training ends, so that
    evaluation and inference find the newest finished model there.

    Args:
        run: the training. The record holds the hashes of its training and validation images, by
            which an evaluation refuses them as test images.
        network: what to save.
        validator: the engine whose metrics decide; it has run before this handler.
        metric: name of the metric, see :data:`LOWER_IS_BETTER`.
        patience: epochs without a better validation after which training stops; 0 for never.
        publish_to: the bundle's ``models`` folder.
        init_from: weights that training began from; the record holds their images, too.
        pretraining: of a training from images alone, whose model has no output; None: of labels.
    """

    def __init__(
        self,
        run: Run,
        network: torch.nn.Module,
        validator: Engine,
        metric: str,
        patience: int,
        publish_to: str,
        init_from: str | None = None,
        pretraining: Pretraining | None = None,
    ) -> None:
        self.run, self.network, self.validator = run, bare(network), validator
        self.metric, self.patience, self.publish_to = metric, patience, Path(publish_to)
        before = read_record(Path(init_from)) if init_from else None
        trained = set(before.trained_on if before else ())
        chosen = set(before.chosen_on if before else ())
        learnt = (
            pretraining.trained_on if pretraining else image_hashes(run.dataset_dir, "training")
        )
        self.pretraining = pretraining
        self.trained_on = sorted(trained | set(learnt))
        self.chosen_on = sorted(chosen | set(image_hashes(run.dataset_dir, "validation")))
        self.hashes = sorted({"values", *(before.hashes if before else ())})

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer, after its validation handler."""
        engine.state.best_score, engine.state.best_epoch = -math.inf, 0
        engine.state.stopped_early = False
        if self.pretraining is None:
            engine.add_event_handler(Events.STARTED, self._describe_cohort)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._compare)
        engine.add_event_handler(Events.COMPLETED, self._publish)

    @idist.one_rank_only()
    def _describe_cohort(self) -> None:
        """Describe the training images, which inference compares its images with."""
        cases = [
            case for case in cohort_cases(Path(self.run.dataset_dir)) if case.split == TRAINING
        ]
        with Work("describing the training cases", len(cases), "case") as work:
            statistics = inspect_cases(cases, work.advance)
        modality = read_datalist(self.run.dataset_dir).description.get("modality", "")
        description = describe_cohort(statistics, min_patients=1, modality=modality)
        write_json(self.run.folder / FINGERPRINT, description)

    def _compare(self, engine: Engine) -> None:
        state = engine.state
        if self.validator.state.epoch != state.epoch:  # not validated in this epoch
            return
        value = self._value()
        score = -value if self.metric in LOWER_IS_BETTER else value
        if score > state.best_score:
            state.best_score, state.best_epoch = score, state.epoch
            self._save(state.epoch, value)
        elif self.patience and state.epoch - state.best_epoch >= self.patience:
            state.stopped_early = True
            engine.terminate()

    def _value(self) -> float:
        metrics = self.validator.state.metrics
        if self.metric not in metrics:
            names = ", ".join(sorted(metrics))
            raise ValueError(f"key_metric: validation has no '{self.metric}'; it has {names}")
        return float(metrics[self.metric])

    @idist.one_rank_only()
    def _save(self, epoch: int, value: float) -> None:
        run, weights = self.run, self.network.state_dict()
        save_model(
            run.folder / MODEL,
            self.pretraining.kept(weights) if self.pretraining else weights,
            bundle=run.bundle,
            run_name=run.name,
            mlflow_run_id=run.id,
            datalist_sha256=run.datalist_sha256,
            device=run.device,
            epoch=epoch,
            key_metric=self.metric,
            key_metric_value=value,
            trained_on=self.trained_on,
            chosen_on=self.chosen_on,
            hashes=self.hashes,
            output_weights=list(self.pretraining.output_weights) if self.pretraining else [],
            tags={key: str(tag) for key, tag in run.own_tags.items()},
        )

    def _publish(self, engine: Engine) -> None:
        if not engine.state.best_epoch:
            raise ValueError(
                f"val_interval: no validation in {engine.state.epoch} epochs, so there is no best "
                f"model; lower val_interval, or go on with more max_epochs and --resume "
                f"{self.run.folder}"
            )
        _copy_model(self.run.folder, self.publish_to)


class KeepEpochs:
    """Keep the network's weights after every epoch, for what is measured against the epoch.

    A resumed run has its epochs in the same folder, so that none is missing.

    Args:
        network: what to save.
        folder: of all runs of one training; the files are ``epoch=1.pt``, ….
    """

    def __init__(self, network: torch.nn.Module, folder: str) -> None:
        self.network, self.folder = bare(network), contained(folder, "KeepEpochs#folder")

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer, after :class:`KeepLast`, which may load an epoch."""
        engine.add_event_handler(Events.STARTED, self._save)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save)

    @idist.one_rank_only()
    def _save(self, engine: Engine) -> None:
        if engine.state.epoch:
            path = self.folder / f"epoch={engine.state.epoch}.pt"
            write_tensors(path, self.network.state_dict())


@idist.one_rank_only()
def _copy_model(source: Path, target: Path) -> None:
    """Copy a model, its record and the description of its cohort, where there is one."""
    with claim(target / MODEL, MODEL_WAIT_SECONDS):  # what lies there together is of one model
        remove_unfinished(target)
        for path in (source / MODEL, record_path(source / MODEL), source / FINGERPRINT):
            if path.is_file():
                with atomic(target / path.name, durable=True) as temporary:
                    shutil.copyfile(path, temporary)
