"""What a job's process does: run one command, and end with who waits for it."""

import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil
from submitit.helpers import DelayedSubmission

from pipeline.children import run_child
from pipeline.interruption import exit_when_terminated

WATCH_SECONDS = 1.0
"""Time between two looks at the process that waits for a job."""


@dataclass(frozen=True)
class JobCommand:
    """A command as a function that submitit can hand to another process.

    Attributes:
        words: of the command.
        environment: variables beside those of the process.
        owner: process of this machine that waits for the job, which ends with it; None: a cluster
            ends it.
    """

    words: Sequence[str]
    environment: Mapping[str, str]
    owner: int | None = None

    def __call__(self) -> None:
        """Run the command to its end.

        Raises:
            RuntimeError: it failed; its own message stands above in the log.
        """
        if self.owner is not None:
            exit_when_terminated()
            _end_with(self.owner)
        if code := run_child(self.words, self.environment):
            raise RuntimeError(f"exit code {code}")

    def checkpoint(self) -> DelayedSubmission:
        """Return what goes on when the cluster's time is over: the same, which resumes."""
        return DelayedSubmission(self)


def _end_with(owner: int) -> None:
    """Terminate this process when its parent or the owner ends, even when they are killed."""
    watched = [psutil.Process(os.getppid())]
    if psutil.pid_exists(owner):
        watched.append(psutil.Process(owner))
    else:  # it ended before it was watched
        raise SystemExit(143)
    threading.Thread(target=_watch, args=(watched,), daemon=True).start()


def _watch(processes: Sequence[psutil.Process]) -> None:
    while all(process.is_running() for process in processes):
        time.sleep(WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
