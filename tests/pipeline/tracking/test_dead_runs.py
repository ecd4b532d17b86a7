import os
import subprocess
import sys

import pytest
from filelock import FileLock

from pipeline.claims import lock_path
from pipeline.tracking import connection, dead_runs
from pipeline.tracking.dead_runs import close_dead_runs, process_tags


@pytest.fixture
def store(tmp_path):
    return connection.connect(tmp_path / "mlruns", "membranes")


@pytest.fixture
def dead_process():
    """Return the number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return str(process.pid)


@pytest.fixture
def begin(store, tmp_path, dead_process):
    """Return a function that begins a run that its tags describe."""
    client, experiment = store

    def begin(name, **tags):
        (tmp_path / "models").mkdir(exist_ok=True)
        own = process_tags(tmp_path / "models" / name) | {"process": dead_process}
        return client.create_run(experiment, run_name=name, tags=own | tags).info.run_id

    return begin


def test_a_run_whose_process_is_gone_is_killed(store, begin, tmp_path):
    client, _ = store
    run = begin("dead")
    lock_path(tmp_path / "models" / "dead").touch()  # what a killed process leaves
    close_dead_runs(client)
    stored = client.get_run(run)
    assert stored.info.status == "KILLED"
    assert "process is gone" in stored.data.tags["error"]


def test_a_run_whose_process_number_is_used_again(store, begin):
    client, _ = store
    run = begin("before", process=f"{os.getpid()} since the machine started")
    close_dead_runs(client)
    assert client.get_run(run).info.status == "KILLED"


def test_runs_that_may_live_are_left(store, begin, tmp_path):
    client, _ = store
    runs = [
        begin("claimed"),
        begin("process", process=f"{os.getppid()} since long"),
        begin("this process", **process_tags(tmp_path / "models" / "parent")),
        begin("host", host="elsewhere"),
        begin("invisible", folder="/no/such/place/run"),
        begin("untagged", folder=""),
    ]
    with FileLock(lock_path(tmp_path / "models" / "claimed")):
        close_dead_runs(client)
    assert [client.get_run(run).info.status for run in runs] == ["RUNNING"] * 6


def test_a_run_that_ended_keeps_its_status(store, begin):
    client, _ = store
    run = begin("failed")
    client.set_terminated(run, "FAILED")
    close_dead_runs(client)
    assert client.get_run(run).info.status == "FAILED"


def test_a_run_that_ends_while_the_runs_are_listed_keeps_its_status(store, begin, monkeypatch):
    client, _ = store
    run = begin("ending")

    def ends_meanwhile(tags):
        client.set_terminated(run, "FINISHED")
        return True

    monkeypatch.setattr(dead_runs, "_is_dead", ends_meanwhile)
    close_dead_runs(client)
    assert client.get_run(run).info.status == "FINISHED"
