"""The options of commands that do many trainings: ``--jobs``, ``--slurm``, ``--job``."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.jobs.job import Job, Stopped
    from pipeline.jobs.run import Cluster

SLURM = "slurm"
SETTINGS = "slurm.yaml"
BEGIN_SECONDS = 300
"""How long a job waits for another one that begins what both belong to."""


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """Add the arguments by which the trainings of a command run at the same time."""
    parser.add_argument(
        "--jobs",
        metavar="N|slurm",
        help="trainings that run at the same time, on this machine or as jobs of SLURM; needs the "
        "extra jobs (one after the other)",
    )
    parser.add_argument(
        "--slurm",
        type=Path,
        default=Path(SETTINGS),
        metavar="FILE",
        help="what each job asks of SLURM: minutes, memory_gb, cpus, gpus, partition, … "
        f"({SETTINGS})",
    )
    parser.add_argument(
        "--job",
        type=int,
        metavar="I",
        help="do training I alone, from 0, as a job of another scheduler; the same command without "
        "it puts the results together",
    )


def cluster_of(options: argparse.Namespace) -> "Cluster | None":
    """Return where the jobs run; None: one after the other, by the command itself.

    Raises:
        ValueError: --jobs is neither a number nor slurm, or the settings of SLURM are wrong.
        ModuleNotFoundError: the extra is not installed.
    """
    if options.jobs is None:
        return None
    from pipeline.jobs.slurm import SlurmCluster
    from pipeline.jobs.slurm_settings import read_slurm_settings

    if options.jobs == SLURM:
        return SlurmCluster(read_slurm_settings(options.slurm))
    if not options.jobs.isdigit() or int(options.jobs) < 1:
        raise ValueError(f"--jobs: found {options.jobs}, expected 1 or more, or {SLURM}")
    if os.name != "posix":
        raise ValueError("--jobs: runs on Linux and macOS alone; leave it out")
    return _this_machine(int(options.jobs), options.settings)


def _this_machine(at_a_time: int, settings: list[str]) -> "Cluster":
    """Share the threads of this machine out, unless the user says how many a job has."""
    from pipeline.bundle.overrides import read_settings
    from pipeline.doctor.machine import usable_cores
    from pipeline.jobs.local import THREADS, ThisMachine, gpus_of_machine

    own = str(read_settings(settings).get("threads") or os.environ.get(THREADS, ""))
    threads = int(own) if own.isdigit() else max(1, usable_cores() // at_a_time)
    return ThisMachine(at_a_time, threads, gpus_of_machine())


def do_all_jobs(
    jobs: "Sequence[Job]", cluster: "Cluster | None", typed: Sequence[str], out: Path
) -> None:
    """Do all jobs at the same time on a cluster; without one nothing is done.

    Args:
        jobs: of the command.
        cluster: where they run.
        typed: words of the command.
        out: folder of its results.

    Raises:
        JobsStoppedError: some ended and are not done; the others are.
    """
    from pipeline.jobs.job import JobsStoppedError

    if stopped := stopped_jobs(jobs, cluster, typed, out):
        raise JobsStoppedError(stopped, len(jobs))


def stopped_jobs(
    jobs: "Sequence[Job]", cluster: "Cluster | None", typed: Sequence[str], out: Path
) -> "Sequence[Stopped]":
    """Do what :func:`do_all_jobs` does, and return the jobs that ended and are not done."""
    from pipeline.jobs.run import run_jobs

    if cluster is None:
        return []
    command = [sys.executable, "-m", "pipeline.cli", *typed]
    return run_jobs(jobs, lambda job: [*command, "--job", str(job.number)], cluster, out)


@contextmanager
def first_call(state: Path) -> Iterator[None]:
    """Let one job begin what all belong to; the others wait, and go on with what it wrote.

    Args:
        state: file that the beginning writes last.

    Raises:
        ValueError: another process began it and is not ready.
    """
    from pipeline.claims import claim

    if state.is_file():
        yield
        return
    with claim(state.parent, BEGIN_SECONDS):
        yield


def do_job(jobs: "Sequence[Job]", number: int) -> None:
    """Do one job; it ends with the process that started it.

    Raises:
        ValueError: no such job, or it failed.
    """
    from pipeline.children import end_with_parent
    from pipeline.jobs.job import job_of

    end_with_parent()
    job = job_of(jobs, number)
    print(f"job {number}: {job.name}", flush=True)
    job.do()
