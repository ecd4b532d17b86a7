"""A training that a plug-in starts: ``unet-school train``, in a process of its own."""

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pipeline.plain_text import plain_line
from pipeline.serving.refusals import RefusedError, UnknownError

MAX_DETAIL_LINES = 20
END_SECONDS = 60
OFF = "trainings are not started from viewers here; see --training of unet-school serve"
RESTART = "the new model is served after the next start; evaluate it first"


class Training:
    """At most one training at a time; nothing that a plug-in sends becomes a setting of it.

    Args:
        command: words of the training.
        log: file for what it prints.
        is_allowed: whether one may be started.
    """

    def __init__(self, command: Sequence[str], log: Path, is_allowed: bool) -> None:
        self.command, self.log, self.is_allowed = list(command), log, is_allowed
        self._process: subprocess.Popen[bytes] | None = None
        self._started = self._ended = ""
        self._lock = threading.Lock()

    @property
    def is_running(self) -> bool:
        """Whether a training runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> dict[str, Any]:
        """Start a training, and return its status.

        Raises:
            RefusedError: none may be started, or one runs.
            OSError: the log cannot be written.
        """
        with self._lock:
            if not self.is_allowed:
                raise RefusedError(HTTPStatus.FORBIDDEN, OFF)
            if self.is_running:
                raise RefusedError(
                    HTTPStatus.TOO_MANY_REQUESTS, "a training runs already; stop it first, or wait"
                )
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("wb") as log:
                self._process = subprocess.Popen(
                    self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            self._started, self._ended = _now(), ""
        return self.status()

    def status(self) -> dict[str, Any]:
        """Return the status of the last training.

        Raises:
            UnknownError: none was started.
        """
        process = self._process
        if process is None:
            raise UnknownError("train: none was started")
        code = process.poll()
        if code is not None and not self._ended:
            self._ended = _now()
        state = "RUNNING" if code is None else "DONE" if code == 0 else "ERROR"
        details = [*self._lines(), *([RESTART] if state == "DONE" else [])]
        return {
            "id": str(process.pid), "status": state, "start_ts": self._started,
            "end_ts": self._ended, "details": details or ["started"],
        }  # fmt: skip

    def stop(self) -> dict[str, Any]:
        """End the training, and return its status.

        Raises:
            UnknownError: none was started.
        """
        with self._lock:
            if self._process is not None and self.is_running:
                self._process.terminate()
                try:
                    self._process.wait(END_SECONDS)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait()
        return self.status()

    def _lines(self) -> list[str]:
        try:
            lines = self.log.read_text("utf-8", errors="replace").splitlines()
        except OSError:
            return []
        return [plain_line(line) for line in lines if line.strip()][-MAX_DETAIL_LINES:]


def training_command(bundle: Path, data: Path, overlays: Sequence[str]) -> list[str]:
    """Return the words of the training of a bundle on a cohort.

    Example:
        >>> training_command(Path("mine"), Path("labels"), [])[1:]
        ['-m', 'pipeline.cli', 'train', 'mine', '--data', 'labels']
    """
    words = [sys.executable, "-m", "pipeline.cli", "train", str(bundle), "--data", str(data)]
    return words + (["--with", *overlays] if overlays else [])


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
