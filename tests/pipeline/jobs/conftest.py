import sys

import pytest

from pipeline.jobs.job import Job


@pytest.fixture
def jobs(tmp_path):
    """Three jobs, each done when its file is there."""

    def job(number):
        path = tmp_path / f"{number}.txt"
        return Job(number, f"fold {number}", lambda: path.write_text("here"), path.is_file)

    return [job(number) for number in range(3)]


@pytest.fixture
def command(tmp_path):
    """Return a function that makes the words of a job's command from a line of Python for each."""

    def make(*lines):
        start = "import os, signal, sys, time; from pathlib import Path; own = Path(sys.argv[1]); "
        return lambda job: [
            sys.executable, "-c", start + lines[job.number % len(lines)],
            str(tmp_path / f"{job.number}.txt"),
        ]  # fmt: skip

    return make
