"""A job: what a command would do in its turn, and may be done by another process instead."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import few
from pipeline.files import shown
from pipeline.progress import count


@dataclass(frozen=True)
class Job:
    """One training with its evaluation.

    Attributes:
        number: its place among all jobs of the command, from 0; the same in every call.
        name: for messages: ``fold 1``.
        do: does what is not done yet; an interrupted training goes on.
        is_done: whether its files are there. They alone say so, not how its process ended.
    """

    number: int
    name: str
    do: Callable[[], object]
    is_done: Callable[[], bool]


@dataclass(frozen=True)
class Stopped:
    """A job that ended and is not done.

    Attributes:
        job: that ended.
        log: file of all that it printed.
    """

    job: Job
    log: Path


class JobsStoppedError(ValueError):
    """Some jobs ended and are not done; the message is the line for the user."""

    def __init__(self, stopped: Sequence[Stopped], total: int) -> None:
        logs = few([f"{one.job.name} ({shown(one.log)})" for one in stopped])
        super().__init__(
            f"{len(stopped)} of {count(total, 'job')} stopped: {logs}; mend what the log says, and "
            "give the same command again, which does what is not done"
        )


def job_of(jobs: Sequence[Job], number: int) -> Job:
    """Return the job of a number.

    Raises:
        ValueError: there is none; names the numbers.

    Example:
        >>> job_of([Job(0, "fold 0", print, bool)], 0).name
        'fold 0'
    """
    for job in jobs:
        if job.number == number:
            return job
    raise ValueError(f"--job: found {number}, expected 0 to {len(jobs) - 1}")
