import shutil
import sqlite3
from collections import namedtuple
from contextlib import closing
from pathlib import Path

from pipeline.doctor import places
from pipeline.doctor.places import folder, place_checks, store
from pipeline.tracking.connection import connect
from pipeline.tracking.dead_runs import process_tags


def test_a_store_that_is_not_there_yet(tmp_path):
    assert store(tmp_path) == ("store", "none yet; the first run makes it", "fine", "")
    assert not list(tmp_path.iterdir())


def test_dead_runs_are_counted_and_left_to_the_next_run(tmp_path):
    client, experiment = connect(tmp_path / "mlruns", "membranes")
    assert store(tmp_path / "mlruns").level == "fine"
    tags = process_tags(tmp_path / "gone") | {"process": "not one"}
    run = client.create_run(experiment, tags=tags).info.run_id
    check = store(tmp_path / "mlruns")
    assert check.level == "note"
    assert "1 run whose process is gone" in check.value
    assert client.get_run(run).info.status == "RUNNING"


def test_a_damaged_store_fails(tmp_path):
    (tmp_path / "mlflow.db").write_text("no database at all, and long enough to be none" * 99)
    check = store(tmp_path)
    assert check.level == "fails"
    assert "mlflow.db" in check.value


def test_a_store_of_another_version_fails(tmp_path):
    connect(tmp_path / "first", "membranes")  # MLflow asks a database that it knows no more
    shutil.copyfile(tmp_path / "first" / "mlflow.db", tmp_path / "mlflow.db")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'unknown'")
    check = store(tmp_path)
    assert check.level == "fails"
    assert "another version of MLflow" in check.value


def test_no_room_fails(tmp_path, monkeypatch):
    Usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(places.shutil, "disk_usage", lambda _: Usage(10, 10, 10**8))
    levels = {check.name: check.level for check in place_checks(tmp_path, tmp_path)}
    assert levels == {"tracking": "fine", "store": "fine", "models": "fails"}


def test_a_place_that_is_a_file_fails(tmp_path):
    (tmp_path / "file").touch()
    check = folder("models", tmp_path / "file", 1)
    assert check.level == "fails"
    assert str(tmp_path / "file") in check.value


def test_a_servers_password_is_not_printed(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    check = store(Path("mlruns"))
    assert check.level == "fails"
    assert "secret" not in check.value + check.remedy
