"""How many threads a job has: the cores shared out, or what the user says."""

import argparse

import pytest

from pipeline.commands.jobs import cluster_of


@pytest.mark.parametrize(
    ("jobs", "settings", "environment", "threads"),
    [
        ("2", [], None, 4),
        ("3", [], None, 2),
        ("16", [], None, 1),
        ("2", [], "3", 3),
        ("2", ["threads=5", "max_epochs=1"], "3", 5),
    ],
)
def test_threads_of_a_job(monkeypatch, jobs, settings, environment, threads):
    monkeypatch.setattr("pipeline.doctor.machine.usable_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if environment:
        monkeypatch.setenv("OMP_NUM_THREADS", environment)
    machine = cluster_of(argparse.Namespace(jobs=jobs, settings=settings))
    assert (machine.at_a_time, machine.threads) == (int(jobs), threads)
    assert f"(OMP_NUM_THREADS={threads})" in str(machine)


def test_without_jobs_the_command_does_all_itself():
    assert cluster_of(argparse.Namespace(jobs=None)) is None
