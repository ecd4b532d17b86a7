"""The store fails while a training runs: the training goes on, and nothing is lost."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import monai.data
import pytest
from ignite.engine import Events
from mlflow import MlflowClient

from pipeline.errors import error_line
from pipeline.tracking import connection
from pipeline.tracking.metric_log import MetricLog
from pipeline.training import resume as resume_handlers
from pipeline.training import track_training


@pytest.fixture
def database(tmp_path):
    return tmp_path / "mlruns" / connection.DATABASE


@pytest.fixture
def stored(database):
    """Return a function that returns the store and its runs, the newest first."""

    def stored():
        client = MlflowClient(f"sqlite:///{database}")
        experiment = client.get_experiment_by_name("membranes")
        return client, client.search_runs([experiment.experiment_id])

    return stored


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(connection, "LOCK_WAIT_SECONDS", 0)
    monkeypatch.setattr(track_training, "RETRY_SECONDS", 0.0)


def run_of(workflow):
    """Return the run of a workflow, which makes it with everything that its engine needs."""
    assert workflow.trainer if workflow.workflow_type == "train" else workflow.evaluator
    return workflow.parser.get_parsed_content("current_run")


def steps(client, run, name="train_loss"):
    return [point.step for point in client.get_metric_history(run.info.run_id, name)]


def lock(database):
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    return other


def warnings(capsys):
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]


def test_a_store_that_comes_back_has_every_epoch_once(start, stored, database, capsys):
    workflow, others = start(max_epochs=4), []
    trainer = workflow.trainer
    trainer.add_event_handler(Events.EPOCH_STARTED(once=2), lambda: others.append(lock(database)))
    trainer.add_event_handler(Events.EPOCH_STARTED(once=4), lambda: others[0].close())
    workflow.run()
    client, (run,) = stored()
    assert run.info.status == "FINISHED"
    assert run.data.tags["recorded_late"] == "true"
    for name in ("train_loss", "val_iou", "learning_rate"):
        assert steps(client, run, name) == [1, 2, 3, 4]
    (warning,) = warnings(capsys)
    assert "another program holds the tracking database" in warning
    assert workflow.parser.get_parsed_content("current_run").is_recorded


def test_the_store_is_not_asked_again_before_some_time(start, database, monkeypatch, tmp_path):
    now = [0.0]
    monkeypatch.setattr(track_training, "RETRY_SECONDS", 30.0)
    workflow = start(max_epochs=3)
    run = run_of(workflow)
    tracking, attempts = track_training.TrackTraining(run, clock=lambda: now[0]), []

    def fail():
        attempts.append(now[0])
        raise connection.StoreError("away")

    monkeypatch.setattr(run, "send_epochs", fail)
    for now[0] in (0.0, 1.0, 29.0, 30.0, 31.0, 60.0):
        tracking._send_epochs()
    assert attempts == [0.0, 30.0, 60.0]


def drop_table(database):
    with closing(sqlite3.connect(database)) as other:
        other.execute("DROP TABLE latest_metrics")


DAMAGE = {
    "deleted": (lambda path: path.unlink(), "a table of MLflow is missing"),
    "garbage": (lambda path: path.write_bytes(b"garbage " * 512), "a damaged one"),
    "a table dropped": (drop_table, "a table of MLflow is missing"),
    "locked": (lock, "another program holds the tracking database"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_training_outlives_its_store_and_says_how_to_record_it(
    start, database, tmp_path, capfd, damage
):
    harm, remedy = DAMAGE[damage]
    workflow, kept = start(), []
    workflow.trainer.add_event_handler(
        Events.EPOCH_STARTED(once=2), lambda: kept.append(harm(database))
    )
    workflow.run()
    run = run_of(workflow)
    assert not run.is_recorded
    assert (tmp_path / "models" / "model.pt").is_file()
    assert [line.epoch for line in run.metric_log.read()] == [1, 2]
    printed = capfd.readouterr().err
    during, after = [line for line in printed.splitlines() if line.startswith("warning: ")]
    assert remedy in during
    assert f"its metrics wait in {run.metric_log.path}" in during
    assert f"--resume {run.folder} records it" in after
    assert "Traceback" not in printed
    assert "sqlalchemy" not in printed


def test_an_interruption_while_the_store_is_away_is_still_one(start, database, capsys):
    workflow, others = start(), []

    def interrupt():
        others.append(lock(database))
        raise KeyboardInterrupt

    workflow.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=3), interrupt)
    with pytest.raises(KeyboardInterrupt):
        workflow.run()
    assert any("the end of the run is not recorded" in line for line in warnings(capsys))


@pytest.fixture
def interrupted(start):
    """Return the interrupted run of a training that was killed after its first epoch."""
    workflow = start(run_name="night")

    def interrupt():
        raise KeyboardInterrupt

    workflow.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=3), interrupt)
    with pytest.raises(KeyboardInterrupt):
        workflow.run()
    return run_of(workflow)


def resume(start, interrupted, **overrides):
    workflow = start(run_name="night", resume=str(interrupted.folder / "last.pt"), **overrides)
    run = run_of(workflow)
    run.resume(interrupted.id, 1)
    workflow.run()
    return run


def test_a_resumed_training_is_the_same_run(start, stored, interrupted):
    # of an epoch whose state was not saved any more
    interrupted.metric_log.append(2, {"train_loss": 99.0})
    run = resume(start, interrupted, max_epochs=3)
    client, (stored_run,) = stored()
    assert stored_run.info.run_id == interrupted.id == run.id
    assert stored_run.info.status == "FINISHED"
    assert steps(client, stored_run) == [1, 2, 3]
    assert 99.0 not in [p.value for p in client.get_metric_history(run.id, "train_loss")]
    tags = stored_run.data.tags
    assert tags["resumed_at_epoch"] == "1"
    assert "max_epochs 3" in tags["resumed_with"]
    assert "error" not in tags
    assert json.loads((run.folder / "model.json").read_text())["mlflow_run_id"] == run.id


def test_an_epoch_that_the_store_has_and_the_state_has_not_stays_once(start, stored, interrupted):
    client, _ = stored()
    client.log_metric(interrupted.id, "train_loss", 0.25, step=2)
    resume(start, interrupted)
    (first, second) = client.get_metric_history(interrupted.id, "train_loss")
    assert (first.step, second.step, second.value) == (1, 2, 0.25)


def test_every_resume_is_recorded(start, stored, interrupted):
    resume(start, interrupted)
    resume(start, interrupted, max_epochs=3)
    _, (run,) = stored()
    assert run.data.tags["resumed_at_epoch"] == "1, 2"


def test_an_epoch_that_the_store_missed_is_sent_by_the_resumed_training(
    start, stored, interrupted, database
):
    with closing(sqlite3.connect(database)) as other:
        other.execute("DELETE FROM metrics")
        other.execute("DELETE FROM latest_metrics")
        other.commit()
    resume(start, interrupted)
    client, (run,) = stored()
    assert steps(client, run) == [1, 2]
    assert run.data.tags["recorded_late"] == "true"


def test_a_resumed_training_whose_run_the_store_lost_is_a_new_one(
    start, stored, interrupted, capsys
):
    client, _ = stored()
    client.delete_run(interrupted.id)
    run = resume(start, interrupted)
    client, (new,) = stored()
    assert new.info.run_id == run.id != interrupted.id
    assert steps(client, new) == [1, 2]
    assert "recorded as a new run" in capsys.readouterr().out
    assert json.loads((run.folder / "model.json").read_text())["mlflow_run_id"] == run.id


def refusal(start, **overrides):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        start(**overrides).run()
    return error_line(caught.value)


@pytest.fixture
def uncached(monkeypatch):
    """Let the test fail when images are cached."""

    def fail(*arguments, **options):
        raise AssertionError("images were cached")

    monkeypatch.setattr(monai.data.CacheDataset, "__init__", fail)


@pytest.mark.usefixtures("uncached")
@pytest.mark.parametrize("damage", ["garbage", "locked"])
def test_a_store_that_cannot_be_written_stops_a_training_before_its_data(start, database, damage):
    refusal(start)  # makes the store
    harm, remedy = DAMAGE[damage]
    kept = harm(database)
    line = refusal(start)
    assert line.startswith(f"{database}: ")
    assert remedy in line
    del kept


@pytest.mark.usefixtures("uncached")
def test_a_server_that_is_away_stops_a_training_before_its_data(start, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    assert refusal(start) == (
        "MLFLOW_TRACKING_URI (http://127.0.0.1:9): no MLflow server answers; start it, or unset "
        "MLFLOW_TRACKING_URI"
    )


def test_an_evaluation_whose_record_is_lost_says_so(start, database, tmp_path):
    start().run()
    workflow = start("evaluating", output_dir=str(tmp_path / "eval"))
    run = run_of(workflow)
    kept = []
    send = run.log_metrics

    def lock_first(*arguments, **options):
        kept.append(lock(database))
        send(*arguments, **options)

    run.log_metrics = lock_first
    with pytest.raises(Exception) as caught:  # noqa: PT011
        workflow.run()
    line = error_line(caught.value)
    assert "another program holds the tracking database" in line
    assert f"what was computed is in {tmp_path / 'eval'}, but not recorded" in line
    assert (tmp_path / "eval" / "report.html").is_file()
    assert not run.is_recorded


def test_the_log_is_written_before_the_state(start):
    workflow, seen = start(), []
    run = run_of(workflow)
    log = MetricLog(Path(run.folder))
    trainer = workflow.trainer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resume_handlers, "write_state", lambda *state: seen.append(len(log.read())))
        trainer.run()
    assert seen == [1, 2]
