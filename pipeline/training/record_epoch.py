"""Recording every epoch of a training in a file, from which the tracking store gets it."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import ignite.distributed as idist
import psutil
import torch
from ignite.engine import Engine, Events

from pipeline.tracking import Run
from pipeline.tracking.metric_log import MINUTES
from pipeline.training.progress import count_weights

BEST = "best_"
"""Beginning of the names of metrics of the best epoch so far."""
BEST_METRIC = "dice"
"""Metric of validation that every training has, whatever its key metric is."""


class RecordEpoch:
    """Write the metrics of every epoch to ``metrics.jsonl``.

    Beside those of training and validation these are the learning rate, the ``minutes`` that the
    training took so far, the network's ``parameters`` (in the first line), the ``best_epoch`` so far with its ``best_val_dice`` and key metric, and
    what the process uses of the machine, ``system/…``.

    Args:
        run: the training, in whose folder the file is.
        validator: the engine whose metrics stand beside the trainer's.
        key_metric: by which the best epoch is judged.
        clock: seconds of a clock that only goes forward.
    """

    def __init__(
        self,
        run: Run,
        validator: Engine,
        key_metric: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.log, self.validator, self.clock = run.metric_log, validator, clock
        self.best_of = dict.fromkeys((BEST_METRIC, key_metric))
        self.process = psutil.Process()
        self.is_begun, self.began = False, clock()

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer, after its validation and before its learning rate changes."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._record)

    def _start(self) -> None:
        self.is_begun, self.began = False, self.clock()
        self.process.cpu_percent()  # from now on

    @idist.one_rank_only()
    def _record(self, engine: Engine) -> None:
        state = engine.state
        metrics = {f"train_{name}": value for name, value in state.metrics.items()}
        if self.validator.state.epoch == state.epoch:
            of_validation = self.validator.state.metrics
            metrics |= {f"val_{name}": value for name, value in of_validation.items()}
        metrics["learning_rate"] = engine.optimizer.param_groups[0]["lr"]
        metrics |= self._so_far(state.epoch, state.best_epoch, metrics)
        metrics |= system_metrics(self.process, state.device)
        if state.epoch == 1:
            metrics["parameters"] = count_weights(engine.network)
        numbers = {k: float(v) for k, v in metrics.items() if isinstance(v, (int, float))}
        self.log.append(state.epoch, numbers)

    def _so_far(self, epoch: int, best_epoch: int, metrics: Mapping[str, Any]) -> dict[str, float]:
        """Return what holds of all epochs so far, those before an interruption included."""
        if not self.is_begun:  # a resumed training knows its epoch, and the file ends before it
            self.is_begun, lines = True, self.log.read()
            earlier = lines[-1].metrics if lines else {}
            self.minutes_before = earlier.get(MINUTES, 0.0)
            self.best = {name: v for name, v in earlier.items() if name.startswith(BEST)}
        if best_epoch == epoch:
            values = {f"{BEST}val_{name}": metrics.get(f"val_{name}") for name in self.best_of}
            self.best = {name: value for name, value in values.items() if value is not None}
            self.best[f"{BEST}epoch"] = epoch
        return {**self.best, MINUTES: self.minutes_before + (self.clock() - self.began) / 60}


def system_metrics(process: psutil.Process, device: torch.device) -> dict[str, float]:
    """Return what a process uses: processor since the last question, memory now.

    Example:
        >>> sorted(system_metrics(psutil.Process(), torch.device("cpu")))
        ['system/process_cpu_percentage', 'system/process_memory_megabytes']
    """
    metrics = {
        "system/process_cpu_percentage": process.cpu_percent(),
        "system/process_memory_megabytes": process.memory_info().rss / 1e6,
    }
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device)
        metrics["system/gpu_peak_memory_megabytes"] = peak / 1e6
    return metrics
