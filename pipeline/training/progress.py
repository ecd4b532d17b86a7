"""What a training begins, how far it is and when it will end, one line for each epoch, its end."""

import time
from collections.abc import Sequence
from pathlib import Path

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from tqdm import tqdm

from pipeline.data.datalist import read_datalist
from pipeline.files import shown
from pipeline.precision import FLOAT32, Precision, computes_in_bfloat16
from pipeline.progress import count
from pipeline.tracking import Run
from pipeline.training.checkpoints import bare

ORDER = ("loss", "iou", "dice", "accuracy")

SPEED_STEPS = 5
"""Steps after which the speed of a training is said."""


class Progress:
    """Say what is trained, show a bar with the expected end, and print one line for each epoch.

    The line of an epoch stands below its heading::

        epoch  train loss     iou  … |  val loss     iou  … |      lr     s   ends
            1      0.4812  0.7810  … |    0.3993  0.8120  … | 3.0e-03   9.8  14:32  best

    Args:
        run: the training.
        validator: the engine whose metrics stand beside the trainer's.
        precision: format that the network computes in.
        unlabelled: images beside those of the cohort that are learnt from.
    """

    def __init__(
        self, run: Run, validator: Engine, precision: Precision = FLOAT32, unlabelled: int = 0
    ) -> None:
        self.run, self.validator, self.precision = run, validator, precision
        self.unlabelled = unlabelled

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer, after :class:`pipeline.training.KeepBest`."""
        if idist.get_rank():  # one process speaks for all
            return
        self.begun, self.has_heading, self.bar = False, False, tqdm(disable=True)
        engine.add_event_handler(Events.EPOCH_STARTED, self._epoch_started)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._line)
        engine.add_event_handler(Events.COMPLETED, self._close)

    def _start(self, engine: Engine) -> None:
        tqdm.write(begin_line(self.run, engine, self.precision, self.unlabelled))
        self.begun = True
        self.total = engine.state.max_epochs * engine.state.epoch_length
        self.began, self.begun_at = time.monotonic(), engine.state.iteration
        self.bar = tqdm(
            total=self.total,
            initial=self.begun_at,
            leave=False,
            disable=None,  # no bar where the output is not a terminal
            bar_format="{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} steps, {rate_fmt}, {desc}",
        )

    def _epoch_started(self, engine: Engine) -> None:
        if not self.begun:  # not at STARTED, where a resumed training does not yet know its epoch
            self._start(engine)
        self.epoch_started = time.monotonic()

    def _step(self, engine: Engine) -> None:
        self.bar.set_description_str(f"ends {self._end(engine)}", refresh=False)
        self.bar.update()
        steps = engine.state.iteration - self.begun_at
        if steps == min(SPEED_STEPS, engine.state.epoch_length):
            seconds = (time.monotonic() - self.began) / steps * engine.state.epoch_length
            tqdm.write(f"about {seconds:.1f} s of training an epoch, ends {self._end(engine)}")

    def _end(self, engine: Engine) -> str:
        """Return the time of day at which the last epoch will end at the present speed."""
        per_step = (time.monotonic() - self.began) / (engine.state.iteration - self.begun_at)
        left = per_step * (self.total - engine.state.iteration)
        return time.strftime("%H:%M", time.localtime(time.time() + left))

    def _line(self, engine: Engine) -> None:
        names = [name for name in ORDER if name in engine.state.metrics]
        if not self.has_heading:
            self.has_heading = True
            train, val = _heading("train", names), _heading("val", names)
            tqdm.write(f"{'epoch':>5}  {train} | {val} |      lr      s   ends")
        validated = self.validator.state.epoch == engine.state.epoch
        values = self.validator.state.metrics if validated else {}
        seconds = time.monotonic() - self.epoch_started
        best = "  best" if engine.state.best_epoch == engine.state.epoch else ""
        rate = engine.optimizer.param_groups[0]["lr"]
        tqdm.write(
            f"{engine.state.epoch:>5}  {_row(engine.state.metrics, names)} | "
            f"{_row(values, names)} | "
            f"{rate:7.1e} {seconds:6.1f}  {self._end(engine)}{best}"
        )

    def _close(self) -> None:
        self.bar.close()
        self.begun = False


def begin_line(run: Run, engine: Engine, precision: Precision, unlabelled: int = 0) -> str:
    """Return the line that says what a training trains, on what and how long."""
    datalist, state = read_datalist(run.dataset_dir), engine.state
    sizes = [f"{len(datalist.listed(split))} {split}" for split in ("training", "validation")]
    weights = count_weights(engine.network)
    network = f"{type(bare(engine.network)).__name__} of {weights:,} weights"
    further = f"{count(unlabelled, 'further image')}, " if unlabelled else ""
    threads = f", {count(torch.get_num_threads(), 'thread')}" if run.device == "cpu" else ""
    return (
        f"{run.bundle} {run.name}: {' and '.join(sizes)} cases of {shown(Path(run.dataset_dir))}, "
        f"{further}{network}, on {run.device}{threads}, {_precision_text(precision, run.device)}"
        f"epochs {state.epoch} to {state.max_epochs} of {count(state.epoch_length, 'step')}"
        + (f", resumed after epoch {state.epoch - 1}" if state.epoch > 1 else "")
    )


def _precision_text(precision: Precision, device: str) -> str:
    """Say that a network computes in bfloat16, and where that is slower."""
    if precision == FLOAT32:
        return ""
    is_fast = computes_in_bfloat16(device)
    return "in bfloat16, " if is_fast else "in bfloat16 (emulated here: float32 is faster), "


def count_weights(network: torch.nn.Module) -> int:
    """Return the number of parameters of a network.

    Example:
        >>> count_weights(torch.nn.Linear(2, 3))
        9
    """
    return sum(weight.numel() for weight in network.parameters())


def _heading(split: str, names: Sequence[str]) -> str:
    return " ".join(f"{split + ' ' + name if name == 'loss' else name:>10}" for name in names)


def _row(metrics: dict[str, float], names: Sequence[str]) -> str:
    return " ".join(f"{metrics[n]:10.4f}" if n in metrics else " " * 10 for n in names)
