"""Connecting to the tracking store: short waits, and one line for each error."""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from pipeline.interruption import delayed
from pipeline.memory_errors import is_killed_worker
from pipeline.tracking_errors import ADDRESS, first_line, tracking_error_line

DATABASE = "mlflow.db"
SQLITE = "sqlite:///"

LOCK_WAIT_SECONDS = 10
"""How long a database that another program holds is waited for; MLflow's own wait is 20 s."""

READ = "SELECT count(*) FROM sqlite_master"
WRITE = "BEGIN IMMEDIATE; CREATE TABLE can_be_written (any_value); ROLLBACK"
"""What a database is tried with before MLflow opens it."""

SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    # a pooled connection would go on writing to a database file that was deleted or replaced
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""MLflow's own settings let a server that is away hold a training for minutes."""

LOGGERS = ("mlflow.store.db.utils", "alembic", "urllib3.connectionpool")
"""What logs stack traces and retries of errors that are reported in one line."""

FAILURES = (MlflowException, SQLAlchemyError, sqlite3.Error, OSError)
"""What a store that fails raises; OSError is of an HTTP request, or of a file of its artefacts."""


class StoreError(ValueError):
    """The tracking store failed; the message is the line for the user."""


@contextmanager
def store_errors(database: Path | None = None) -> Iterator[None]:
    """Turn each failure of the tracking store into a :class:`StoreError`.

    An interruption waits for what is written: a transaction that was cut in two would hold the
    database against the end of the run.

    Args:
        database: file of the store, for the message.

    Raises:
        StoreError: the store failed.
    """
    try:
        with delayed():
            yield
    except FAILURES as error:
        if is_killed_worker(error):  # its signal arrives wherever the process is
            raise RuntimeError(str(error)) from error
        line = tracking_error_line(error, str(database or "")) or _file_line(error)
        raise StoreError(line or first_line(error)) from error


def _file_line(error: Exception) -> str | None:
    """The line for an error of the system, which names its file."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return None


def store_uri(root: Path) -> str:
    """Return where the tracking store is: in a folder, unless ``MLFLOW_TRACKING_URI`` says."""
    return os.environ.get(ADDRESS) or f"{SQLITE}{root / DATABASE}"


def open_client(root: Path) -> MlflowClient:
    """Open the tracking store in a folder, or the one that ``MLFLOW_TRACKING_URI`` names.

    Raises:
        StoreError: another version of MLflow made its tables, it is locked, damaged, …
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    uri = store_uri(root)
    with store_errors(root / DATABASE):
        _try_database(uri, READ)
        return MlflowClient(tracking_uri=uri)


def connect(root: Path, experiment: str) -> tuple[MlflowClient, str]:
    """Open the tracking store in a folder, made if absent, and return the id of an experiment.

    The environment variable ``MLFLOW_TRACKING_URI`` names another store.

    Raises:
        StoreError: the store cannot be written; see :func:`open_client`.
    """
    with store_errors(root / DATABASE):
        root.mkdir(parents=True, exist_ok=True)
    # MLflow creates its tables without a lock; two first runs at a time would collide
    with FileLock(root / ".lock"):
        client = open_client(root)
        with store_errors(root / DATABASE):
            _try_database(store_uri(root), WRITE)
            existing = client.get_experiment_by_name(experiment)
            if existing is not None:
                return client, str(existing.experiment_id)
            artifacts = (root / "artifacts" / experiment).as_uri()
            local = not os.environ.get(ADDRESS)
            return client, str(client.create_experiment(experiment, artifacts if local else None))


def _try_database(uri: str, statements: str) -> None:
    """Ask the database file itself: MLflow would retry what fails for minutes."""
    path = Path(uri.removeprefix(SQLITE))
    if not uri.startswith(SQLITE) or "?" in uri or not path.is_file():
        return
    # opened as a file that exists, so that none is made where another program removes it
    address = f"{path.resolve().as_uri()}?mode=rw"
    with closing(sqlite3.connect(address, timeout=LOCK_WAIT_SECONDS, uri=True)) as database:
        database.executescript(statements)


@event.listens_for(Engine, "before_cursor_execute", retval=True)
def _wait_shortly(
    _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
) -> tuple[str, Any]:
    if statement.startswith("PRAGMA busy_timeout"):
        statement = f"PRAGMA busy_timeout = {1000 * LOCK_WAIT_SECONDS};"
    return statement, parameters
