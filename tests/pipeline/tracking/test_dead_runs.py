import os
import signal
import subprocess
import sys

import pytest
from filelock import FileLock
from mlflow import MlflowClient

from pipeline.claims import lock_path
from pipeline.tracking import connection, dead_runs
from pipeline.tracking.dead_runs import close_dead_runs, process_tags
from tests.conftest import ROOT


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


TRAINING = """
import os, sys
from ignite.engine import Events
from pipeline.bundle import Bundle
from pipeline.interruption import exit_when_terminated
from pathlib import Path

def strike():
    for number in signals:
        os.kill(os.getpid(), int(number))

bundle, data, root, *signals = sys.argv[1:]
exit_when_terminated()
workflow = Bundle(Path(bundle), (), {
    "dataset_dir": data, "models_dir": root + "/models", "tracking_dir": root + "/mlruns",
    "network_def#features": [4, 4, 8, 8, 8], "patch": [32, 32], "window": [64, 64],
    "batch_size": 2, "steps_per_epoch": 2, "max_epochs": 2, "val_interval": 1, "threads": 1,
}).workflow("training")
workflow.initialize()
workflow.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=3), strike)
workflow.run()
"""


@pytest.fixture
def train_and_signal(bundle, phantom, tmp_path):
    """Return a function that trains in a process to which signals are sent in its second epoch."""

    def train(*signals):
        arguments = [bundle.parent, phantom, tmp_path, *map(int, signals)]
        return subprocess.run(
            [sys.executable, "-c", TRAINING, *map(str, arguments)], cwd=ROOT, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False,
        )  # fmt: skip

    return train


def statuses(tmp_path):
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlruns' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("membranes")
    return sorted(run.info.status for run in client.search_runs([experiment.experiment_id]))


@pytest.mark.slow
def test_the_run_of_a_training_that_was_killed_is_closed_by_the_next(
    start, train_and_signal, tmp_path
):
    result = train_and_signal(signal.SIGKILL)
    assert result.returncode == -signal.SIGKILL, result.stderr[-2000:]
    assert statuses(tmp_path) == ["RUNNING"]
    start().run()
    assert statuses(tmp_path) == ["FINISHED", "KILLED"]


@pytest.mark.slow
@pytest.mark.parametrize("names", [["SIGHUP"], ["SIGINT", "SIGINT", "SIGTERM"]])
def test_a_training_that_is_interrupted_is_recorded_as_killed(train_and_signal, tmp_path, names):
    result = train_and_signal(*(getattr(signal, name) for name in names))
    assert result.returncode != 0
    assert statuses(tmp_path) == ["KILLED"], result.stderr[-2000:]


def test_a_run_that_ends_while_the_runs_are_listed_keeps_its_status(store, begin, monkeypatch):
    client, _ = store
    run = begin("ending")

    def ends_meanwhile(tags):
        client.set_terminated(run, "FINISHED")
        return True

    monkeypatch.setattr(dead_runs, "_is_dead", ends_meanwhile)
    close_dead_runs(client)
    assert client.get_run(run).info.status == "FINISHED"
