"""The metrics of every epoch in a file of the run's folder, whatever becomes of the store."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pipeline.files import write_text

METRICS = "metrics.jsonl"
MINUTES = "minutes"
"""Metric of an epoch: how long the training took until its end, without interruptions."""


class Epoch(NamedTuple):
    """The metrics of one epoch.

    Attributes:
        epoch: its number.
        time: when it ended, in seconds since 1970.
        metrics: by name.
    """

    epoch: int
    time: float
    metrics: dict[str, float]


class MetricLog:
    """The metrics of a training, one line of JSON an epoch.

    Args:
        folder: of the run; the file is ``metrics.jsonl``.

    Example:
        >>> import tempfile
        >>> log = MetricLog(Path(tempfile.mkdtemp()))
        >>> log.append(1, {"train_loss": 0.7})
        >>> log.append(2, {"train_loss": 0.5})
        >>> log.keep_until(1)
        >>> [(line.epoch, line.metrics) for line in log.read()]
        [(1, {'train_loss': 0.7})]
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / METRICS

    def append(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Add the line of an epoch.

        Raises:
            OSError: there is no room, or the folder cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(Epoch(epoch, time.time(), dict(metrics))))
        except OSError as error:
            raise OSError(f"{self.path}: could not be written ({error.strerror})") from None

    def read(self) -> list[Epoch]:
        """Return the epochs so far; a line that an interruption cut is left out."""
        lines = self.path.read_text("utf-8").splitlines() if self.path.is_file() else []
        return [epoch for line in lines if (epoch := _parsed(line)) is not None]

    def keep_until(self, epoch: int) -> None:
        """Leave out what follows an epoch: a resumed training does it again."""
        if self.path.is_file():
            kept = [line for line in self.read() if line.epoch <= epoch]
            write_text(self.path, "".join(map(_line, kept)))


def _line(epoch: Epoch) -> str:
    return json.dumps(epoch._asdict()) + "\n"


def _parsed(line: str) -> Epoch | None:
    try:
        return Epoch(**json.loads(line))
    except (json.JSONDecodeError, TypeError):
        return None
