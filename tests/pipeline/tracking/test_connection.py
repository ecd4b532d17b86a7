import logging
import os
import sqlite3

import pytest

from pipeline.tracking import connection
from pipeline.tracking.connection import StoreError


@pytest.fixture
def unopened(monkeypatch):
    """Let the test fail when MLflow, which retries for minutes, is asked to open the store."""
    monkeypatch.setattr(connection, "LOCK_WAIT_SECONDS", 0)
    monkeypatch.setattr(connection, "MlflowClient", lambda **_: pytest.fail("MLflow was asked"))


@pytest.mark.usefixtures("unopened")
def test_a_damaged_database_is_seen_before_mlflow_opens_it(tmp_path):
    (tmp_path / connection.DATABASE).write_bytes(b"garbage " * 512)
    with pytest.raises(StoreError, match=r"mlflow\.db: no database, or a damaged one"):
        connection.open_client(tmp_path)


@pytest.mark.usefixtures("unopened")
def test_a_locked_database_is_seen_before_mlflow_opens_it(tmp_path):
    other = sqlite3.connect(tmp_path / connection.DATABASE, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="another program holds the tracking database"):
        connection.open_client(tmp_path)
    other.close()


def test_a_database_that_may_only_be_read_stops_a_run_and_no_comparison(tmp_path, monkeypatch):
    connection.connect(tmp_path, "membranes")
    connect = sqlite3.connect

    def read_only(address, **options):  # modes of files do not bind the administrator
        return connect(address.replace("mode=rw", "mode=ro"), **options)

    monkeypatch.setattr(connection.sqlite3, "connect", read_only)
    connection.open_client(tmp_path)
    with pytest.raises(StoreError, match="let it be written, or give another --tracking_dir"):
        connection.connect(tmp_path, "membranes")


def test_a_failing_artefact_names_its_file():
    named = pytest.raises(StoreError, match=r"model\.pt: No space left on device")
    with named, connection.store_errors():
        raise OSError(28, "No space left on device", "model.pt")


def test_short_waits_may_be_set_otherwise_by_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "300")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    connection.open_client(tmp_path)
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "300"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"
    assert not logging.getLogger("mlflow.store.db.utils").isEnabledFor(logging.ERROR)
