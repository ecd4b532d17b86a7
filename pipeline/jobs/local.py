"""Jobs on this machine, some at a time, by submitit's executor of local processes."""

import os
import signal
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from submitit import LocalExecutor

from pipeline.children import EXIT_SECONDS
from pipeline.jobs.command import JobCommand
from pipeline.jobs.job import Job
from pipeline.progress import count

POLL_SECONDS = 0.2
LONGEST_MINUTES = 366 * 24 * 60
"""A job of this machine has no time limit; submitit wants one."""
THREADS = "OMP_NUM_THREADS"
GPUS = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class ThisMachine:
    """Jobs on this machine.

    Attributes:
        at_a_time: number of jobs that run at the same time.
        threads: of each job.
        gpus: names of the GPUs, as ``CUDA_VISIBLE_DEVICES`` has them; each job has one, which
            several share where there are fewer than jobs.
    """

    at_a_time: int
    threads: int
    gpus: Sequence[str] = ()

    def __str__(self) -> str:
        one_each = f", a GPU of {len(self.gpus)} each" if self.gpus else ""
        return (
            f"{self.at_a_time} at a time on this machine, {count(self.threads, 'thread')} "
            f"({THREADS}={self.threads}){one_each}"
        )

    def run(
        self, jobs: Sequence[Job], commands: Sequence[Sequence[str]], logs: Path
    ) -> Generator[tuple[Job, Path], None, None]:
        """Run commands, and yield the job of each when it has ended, with its log.

        What still runs when this generator is closed is ended, and records its end.

        Args:
            jobs: to be done.
            commands: of each job, its words.
            logs: folder for what the jobs print.
        """
        executor = LocalExecutor(logs)
        executor.update_parameters(timeout_min=LONGEST_MINUTES, stderr_to_stdout=True)
        waiting = deque(zip(jobs, commands, strict=True))
        running: dict[int, tuple[Job, Any]] = {}
        try:
            while waiting or running:
                for place in range(self.at_a_time):
                    if waiting and place not in running:
                        job, words = waiting.popleft()
                        running[place] = job, self._submit(executor, words, place)
                time.sleep(POLL_SECONDS)
                for place in [p for p, (_, process) in running.items() if process.done()]:
                    job, process = running.pop(place)
                    yield job, process.paths.stdout
        finally:
            _end([process for _, process in running.values()])

    def _submit(self, executor: LocalExecutor, words: Sequence[str], place: int) -> Any:
        own_gpu = self.gpus[place % len(self.gpus)] if self.gpus else ""
        environment = {THREADS: str(self.threads), GPUS: own_gpu}
        with _interruptions_blocked():
            return executor.submit(JobCommand(words, environment, os.getpid()))


@contextmanager
def _interruptions_blocked() -> Iterator[None]:
    """Start processes that the terminal does not interrupt: the command ends them in order."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(processes: Sequence[Any]) -> None:
    """Terminate processes of jobs, and wait until they have recorded their ends."""
    for process in processes:
        if not process.done():
            os.kill(int(process.job_id), signal.SIGTERM)  # which submitit hands on
    end = time.monotonic() + EXIT_SECONDS
    while not all(process.done() for process in processes) and time.monotonic() < end:
        time.sleep(POLL_SECONDS)


def gpus_of_machine() -> list[str]:
    """Return the names of the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` has them.

    Example:
        >>> len(gpus_of_machine()) >= 0
        True
    """
    import torch

    if own := os.environ.get(GPUS):
        return own.split(",")
    return [str(number) for number in range(torch.cuda.device_count())]
