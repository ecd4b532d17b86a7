"""Jobs on a SLURM cluster, as one array, by submitit."""

import json
import shutil
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from submitit import SlurmExecutor, SlurmJob
from submitit.core.utils import FailedJobError, FailedSubmissionError

from pipeline.files import write_json
from pipeline.jobs.command import JobCommand
from pipeline.jobs.job import Job
from pipeline.jobs.local import THREADS
from pipeline.jobs.slurm_settings import SlurmSettings
from pipeline.progress import count

POLL_SECONDS = 1.0
ASK_SECONDS = 30.0
"""Time between two questions to the cluster about jobs that may have died."""
FILES_SECONDS = 15.0
"""How long the files of a job that ended may take to appear on a shared disk."""
SUBMITTED = "slurm.json"
"""Which job of the cluster does what: a call that was killed leaves them running."""
PROGRAMS = ("sbatch", "srun", "sacct", "scancel")


@dataclass(frozen=True)
class SlurmCluster:
    """Jobs on the cluster that this machine submits to.

    Attributes:
        settings: what each job asks for.
    """

    settings: SlurmSettings

    @property
    def at_a_time(self) -> int:
        """Largest number of jobs that run at the same time."""
        return self.settings.at_a_time

    def __str__(self) -> str:
        own = self.settings
        place = f"partition {own.partition}" if own.partition else "SLURM"
        gpus = f", {count(own.gpus, 'GPU')}" if own.gpus else ""
        return (
            f"{own.at_a_time} at a time at most on {place}, {count(own.cpus, 'thread')} "
            f"({THREADS}={own.cpus}){gpus}, {own.memory_gb:g} GB and "
            f"{count(own.minutes, 'minute')} each"
        )

    def run(
        self, jobs: Sequence[Job], commands: Sequence[Sequence[str]], logs: Path
    ) -> Generator[tuple[Job, Path], None, None]:
        """Submit commands as one array, and yield the job of each when it has ended.

        A job that an earlier call has submitted and that is not over is waited for, not submitted
        again. What is not over when this generator is closed is cancelled.

        Args:
            jobs: to be done.
            commands: of each job, its words.
            logs: folder for what the jobs print, on a disk that the cluster shares.

        Raises:
            ValueError: the cluster refuses them, or there is none.
        """
        for program in PROGRAMS:
            if shutil.which(program) is None:
                raise ValueError(f"--jobs slurm: no {program} here; run it where SLURM is, or "
                                 "give --jobs a number")  # fmt: skip
        running = self._still_running(jobs, logs.parent / SUBMITTED)
        new = [pair for pair in zip(jobs, commands, strict=True) if pair[0].name not in running]
        try:
            running |= self._submit(new, logs)
            _keep(running, logs.parent / SUBMITTED)
            yield from _ended(running, jobs)
        finally:
            for submitted in running.values():
                submitted.cancel(check=False)

    def _still_running(self, jobs: Sequence[Job], state: Path) -> dict[str, Any]:
        if not state.is_file():
            return {}
        before = json.loads(state.read_text("utf-8"))
        names = {job.name for job in jobs}
        submitted = {name: SlurmJob(**own) for name, own in before.items() if name in names}
        return {name: one for name, one in submitted.items() if not one.done(force_check=True)}

    def _submit(self, new: Sequence[tuple[Job, Sequence[str]]], logs: Path) -> dict[str, Any]:
        if not new:
            return {}
        own = self.settings
        executor = SlurmExecutor(logs, max_num_timeout=own.requeues)
        choice = {key: getattr(own, key) for key in ("partition", "account", "qos", "constraint")}
        executor.update_parameters(
            time=own.minutes,
            mem=f"{round(own.memory_gb * 1024)}MB",
            cpus_per_task=own.cpus,
            **({"gpus_per_node": own.gpus} if own.gpus else {}),
            **{key: value for key, value in choice.items() if value is not None},
            array_parallelism=own.at_a_time,
            setup=own.setup or None,
            stderr_to_stdout=True,
            job_name="unet-school",
        )
        environment = {THREADS: str(own.cpus)}
        try:
            with executor.batch():
                jobs = [executor.submit(JobCommand(words, environment)) for _, words in new]
        except (FailedJobError, FailedSubmissionError) as error:
            *_, line = str(error).strip().splitlines()
            raise ValueError(f"--jobs slurm: sbatch refuses: {line}") from None
        return {job.name: one for (job, _), one in zip(new, jobs, strict=True)}


def _keep(running: dict[str, Any], state: Path) -> None:
    own = {
        name: {"folder": str(one.paths.folder), "job_id": one.job_id}
        for name, one in running.items()
    }
    write_json(state, own)


def _ended(running: dict[str, Any], jobs: Sequence[Job]) -> Iterator[tuple[Job, Path]]:
    """Yield each job when it is over, and take it out of those that run."""
    of_name = {job.name: job for job in jobs}
    asked = time.monotonic()
    while running:
        time.sleep(POLL_SECONDS)
        asks = time.monotonic() - asked > ASK_SECONDS
        asked = time.monotonic() if asks else asked
        for name in [name for name, one in running.items() if one.done(force_check=asks)]:
            submitted = running.pop(name)
            _wait_for_files(of_name[name])
            yield of_name[name], submitted.paths.stdout


def _wait_for_files(job: Job) -> None:
    end = time.monotonic() + FILES_SECONDS
    while not job.is_done() and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
