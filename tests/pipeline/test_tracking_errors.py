import sqlite3

import pytest
from mlflow.exceptions import MlflowException, RestException
from requests import ConnectionError as NoConnection

from pipeline.tracking_errors import tracking_error_line

ADDRESS = "http://me:secret@mlflow.hospital.org:5000"


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("database is locked", "another program holds the tracking database"),
        ("attempt to write a readonly database", "let it be written, or give another --tracking_"),
        ("file is not a database", "put a copy of it in its place"),
        ("no such table: runs", "a table of MLflow is missing"),
        ("database or disk is full", "make room, or give another --tracking_dir"),
        ("unable to open database file", "cannot be opened; give another --tracking_dir"),
    ],
)
@pytest.mark.parametrize("kind", [sqlite3.OperationalError, MlflowException])
def test_a_database_has_its_own_remedy(message, remedy, kind, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    line = tracking_error_line(kind(f"(sqlite3.OperationalError) {message}\n[SQL: …]"), "a/m.db")
    assert line.startswith("a/m.db: ")
    assert remedy in line
    assert "SQL" not in line


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (NoConnection(f"HTTPConnectionPool({ADDRESS}): Max retries"), "start it, or unset MLFLOW_"),
        (MlflowException(f"API request to {ADDRESS}/api failed with exception"), "start it, or"),
        (MlflowException(f"API request to {ADDRESS} failed: too many 503 error"), "its log says"),
        (MlflowException("API request to endpoint /x failed with error code 401"), "USERNAME"),
        (MlflowException("API request to endpoint /x failed with error code 404"), "name another"),
        (RestException({"error_code": "PERMISSION_DENIED", "message": "no"}), "USERNAME"),
        (MlflowException(f"odd {ADDRESS}"), "MLflow reports: odd http://mlflow.hos"),
    ],
)
def test_a_server_has_its_own_remedy_and_its_password_is_not_shown(error, remedy, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", ADDRESS)
    line = tracking_error_line(error, "mlruns/mlflow.db")
    assert line.startswith("MLFLOW_TRACKING_URI (http://mlflow.hospital.org:5000): ")
    assert remedy in line
    assert "secret" not in line
    assert "\n" not in line


def test_a_database_behind_an_address_of_its_own(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@db.org/mlflow")
    line = tracking_error_line(MlflowException("Detected out-of-date database schema (found x)"))
    assert line.startswith("MLFLOW_TRACKING_URI (postgresql://db.org/mlflow): ")
    assert line.endswith("mlflow db upgrade URI")


def test_what_is_not_of_the_store(monkeypatch):
    assert tracking_error_line(ValueError("database is locked")) is None
