"""The tracking store cannot kill a training."""

import shutil
import signal
import socket
import sqlite3

import pytest

from tests.faults.launcher import NO_STORE, Fault, serve
from tests.faults.test_killed import END, LAST, LOG, STEP, UPLOAD
from tests.faults.trainings import (
    assert_all_kept,
    assert_recorded_once,
    assert_trained_alike,
)

WRONG_VERSION = "0123456789ab"
SHORT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
}


def at_gate(site, fault, **more):
    """Start a training and wait until it stands at a gate."""
    gate = site.commands.gate()
    started = site.begin(faults=[fault], gates={fault.argument: gate}, **more)
    started.reach(gate)
    return started, gate


# ------------------------------------------------------------------------------- in one folder


@pytest.mark.parametrize(
    ("place", "call"),
    [
        pytest.param(LOG, 3, id="an epoch"),
        pytest.param(UPLOAD, 3, id="a file", marks=pytest.mark.slow),
        pytest.param(END, 1, id="the end", marks=pytest.mark.slow),
    ],
)
def test_the_store_has_no_room(site, whole, place, call):
    """A full disk of the store: the model is trained and published; a resume records it all."""
    faults = [Fault(place, "refuse", n, argument=NO_STORE) for n in range(call, call + 40)]
    outcome = site.train(faults=faults)
    assert "Traceback" not in outcome.text
    assert_trained_alike(site, whole)
    assert [line["epoch"] for line in site.lines()] == [1, 2, 3]
    assert not (site.folder / "finished.json").exists()
    site.resume().ends_with(0)
    assert_all_kept(site, whole)


@pytest.mark.slow
def test_the_store_has_no_room_for_one_epoch(site, whole):
    """The store fails at one epoch: one warning, and the epoch is recorded late."""
    outcome = site.train(faults=[Fault(LOG, "refuse", 3, argument=NO_STORE)]).ends_with(0)
    assert "Traceback" not in outcome.text
    assert_all_kept(site, whole)


@pytest.mark.slow
def test_the_store_is_deleted(site, whole):
    """The database is deleted in mid-run: trained and published, every epoch in metrics.jsonl."""
    started, gate = at_gate(site, Fault(STEP, "wait", 3, argument="step"))
    shutil.rmtree(site.tracking)
    gate.opened.set()
    text = started.end().text
    assert "Traceback" not in text
    assert "records it" in text
    assert_trained_alike(site, whole)
    assert [line["epoch"] for line in site.lines()] == [1, 2, 3]
    assert site.lines()[0]["metrics"]["val_iou"] > 0


@pytest.mark.slow
def test_the_store_is_locked(site, whole):
    """Another process holds the database in mid-run: the training goes on, and records late."""
    impatient = Fault("start", "impatient_database", argument=0.1)
    standing = Fault(STEP, "wait", 3, argument="step")
    ready = Fault(LAST, "wait", 3, after=True, argument="end")
    gates = {"step": site.commands.gate(), "end": site.commands.gate()}
    started = site.begin(faults=[impatient, standing, ready], gates=gates)
    started.reach(gates["step"])
    holder = sqlite3.connect(site.tracking / "mlflow.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    gates["step"].opened.set()
    started.reach(gates["end"])
    holder.execute("ROLLBACK")
    holder.close()
    gates["end"].opened.set()
    started.end().ends_with(0)
    assert_all_kept(site, whole)


@pytest.mark.slow
def test_the_store_is_of_another_version(site):
    """Tables of another MLflow: one line with its remedy, before anything is trained."""
    with sqlite3.connect(site.tracking / "mlflow.db") as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (WRONG_VERSION,))
    error = site.train().error
    assert "mlflow db upgrade" in error
    assert str(site.tracking / "mlflow.db") in error
    assert not site.state.exists()


@pytest.mark.slow
def test_the_store_is_no_database(site):
    """A file of another kind: one line that names it."""
    (site.tracking / "mlflow.db").write_bytes(b"no database " * 100)
    assert "mlflow.db" in site.train().error
    assert not site.state.exists()


@pytest.mark.slow
def test_the_store_gets_another_version(site, whole):
    """The tables change in mid-run, by an upgrade: the training goes on."""
    started, gate = at_gate(site, Fault(STEP, "wait", 3, argument="step"))
    with sqlite3.connect(site.tracking / "mlflow.db") as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (WRONG_VERSION,))
        database.execute("ALTER TABLE metrics RENAME TO metrics_of_then")
    gate.opened.set()
    assert "Traceback" not in started.end().text
    assert_trained_alike(site, whole)


# ------------------------------------------------------------------------------------ over HTTP


@pytest.fixture
def server(site):
    """Return a function that serves the store, and the environment of its trainings."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def start():
        gate = site.commands.gate()
        served = site.commands.start(port, site.tracking, target=serve, gates={"ready": gate})
        served.reach(gate)
        return served

    site.uri = f"http://127.0.0.1:{port}"
    return start, {"MLFLOW_TRACKING_URI": site.uri, **SHORT}


def test_the_server_is_absent(site, server):
    """No server at the address: one line with its remedy, before data is cached."""
    error = site.train(**server[1]).error
    assert site.uri in error
    assert not site.state.exists()


@pytest.mark.slow
def test_the_server_is_killed_and_comes_back(site, whole, server):
    """The server is away for an epoch: one warning, trained alike, every epoch recorded once."""
    serve_again, environment = server
    served = serve_again()
    faults = [Fault(STEP, "wait", 3, argument="step"), Fault(STEP, "wait", 5, argument="later")]
    gates = {"step": site.commands.gate(), "later": site.commands.gate()}
    started = site.begin(faults=faults, gates=gates, **environment)
    started.reach(gates["step"])
    served.kill()
    gates["step"].opened.set()
    started.reach(gates["later"])
    serve_again()
    gates["later"].opened.set()
    outcome = started.end().ends_with(0)
    for noise in ("Traceback", "Retrying"):
        assert noise not in outcome.text
    assert outcome.text.count("\n") < 40
    (warning,) = [line for line in outcome.text.splitlines() if line.startswith("warning: ")]
    assert "no MLflow server answers; start it" in warning
    assert_all_kept(site, whole)
    (run,) = site.runs()
    assert run.data.tags["recorded_late"] == "true"


@pytest.mark.slow
def test_the_server_is_killed_for_good(site, whole, server):
    """The server stays away: trained, published, every epoch in the file; a resume records it."""
    serve_again, environment = server
    served = serve_again()
    fault = Fault(STEP, "wait", 3, argument="step")
    started, gate = at_gate(site, fault, **environment)
    served.kill()
    gate.opened.set()
    text = started.end().text
    assert "Traceback" not in text
    assert "records it" in text
    assert_trained_alike(site, whole)
    assert [line["epoch"] for line in site.lines()] == [1, 2, 3]
    serve_again()
    site.resume(**environment).ends_with(0)
    run = assert_recorded_once(site, whole)
    assert "resumed_at_epoch" in run.data.tags


# ------------------------------------------------------------------------------------- starting


@pytest.mark.slow
def test_eight_start_at_once(site, whole):
    """Eight trainings without a database: eight runs, each FINISHED with all its epochs."""
    shutil.rmtree(site.tracking)
    started = []
    for number in range(8):
        site.name = f"run_{number}"
        started.append(site.begin())
    for one in started:
        one.end().ends_with(0)
    runs = site.runs()
    assert sorted(run.info.run_name for run in runs) == [f"run_{n}" for n in range(8)]
    assert {run.info.status for run in runs} == {"FINISHED"}
    (expected,) = [run for run in whole.runs() if run.info.run_name == whole.name]
    assert all(site.curves(run) == whole.curves(expected) for run in runs)


@pytest.mark.slow
def test_a_run_whose_process_is_gone_is_closed_at_the_next_start(site):
    """A killed training is RUNNING until another starts, and KILLED then; one that runs stays."""
    site.train(faults=[Fault(STEP, call=3)]).ends_with(-signal.SIGKILL)
    gate = site.commands.gate()
    site.name = "alive"
    alive = site.begin(faults=[Fault(STEP, "wait", argument="step")], gates={"step": gate})
    alive.reach(gate)
    site.name = "next"
    site.train().ends_with(0)
    status = {run.info.run_name: run.info.status for run in site.runs()}
    assert status == {"mine": "KILLED", "alive": "RUNNING", "next": "FINISHED"}
    gate.opened.set()
    alive.end().ends_with(0)
