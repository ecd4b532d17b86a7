"""Running the jobs of a command at the same time, and saying what became of each."""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from pipeline.files import shown
from pipeline.jobs.job import Job, Stopped
from pipeline.progress import count


class Cluster(Protocol):
    """Where jobs run: this machine, or a cluster; says so as a text."""

    @property
    def at_a_time(self) -> int:
        """Largest number of jobs that run at the same time."""

    def run(
        self, jobs: Sequence[Job], commands: Sequence[Sequence[str]], logs: Path
    ) -> Generator[tuple[Job, Path], None, None]:
        """Yield each job when it has ended, with its log."""


def run_jobs(
    jobs: Sequence[Job],
    command: Callable[[Job], Sequence[str]],
    cluster: Cluster,
    out: Path,
) -> list[Stopped]:
    """Run the jobs that are not done, and return those that ended without being done.

    Args:
        jobs: of the command.
        command: returns the words that do a job alone.
        cluster: where they run.
        out: folder of the results; logs go to ``jobs`` in it.
    """
    waiting = [job for job in jobs if not job.is_done()]
    if not waiting:
        return []
    logs = out / "jobs" / time.strftime("%Y-%m-%d_%H%M%S")
    print(
        f"{count(len(waiting), 'job')} of {len(jobs)}, {cluster}; logs in {shown(logs)}",
        flush=True,
    )
    stopped = []
    commands = [command(job) for job in waiting]
    began = time.monotonic()
    with closing(cluster.run(waiting, commands, logs)) as ended:
        for number, (job, log) in enumerate(ended, start=1):
            is_done = job.is_done()
            print(
                f"[{number} of {len(waiting)}] {job.name}: "
                f"{'done' if is_done else 'stopped'} after {time.monotonic() - began:.0f} s, "
                f"log {shown(log)}",
                flush=True,
            )
            stopped += [] if is_done else [Stopped(job, log)]
    return stopped
