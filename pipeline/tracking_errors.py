"""One line for what goes wrong with the tracking store: its database, its server, its schema."""

import os
import re
from typing import NamedTuple
from urllib.parse import urlsplit

PACKAGES = ("mlflow", "sqlalchemy", "sqlite3", "requests", "urllib3")
"""The packages whose errors are the store's."""

ADDRESS = "MLFLOW_TRACKING_URI"
"""The environment variable that names a store, beside the folder of each run."""

PASSWORD = re.compile(r"//[^/@\s]*@")
"""User and password in an address."""

MAX_REASON_CHARACTERS = 200


class Remedy(NamedTuple):
    """What a message of a database or a server means.

    Attributes:
        pattern: of the message.
        text: what is wrong, and how to mend it.
    """

    pattern: str
    text: str


DATABASE_REMEDIES = (
    Remedy(
        r"database schema|Can't locate revision",
        "a tracking store whose tables another version of MLflow made; copy it, then run: "
        "mlflow db upgrade {upgraded}",
    ),
    Remedy(r"is locked", "another program holds the tracking database; end it, or wait for it"),
    Remedy(
        r"readonly database|read-only",
        "the tracking database may only be read; let it be written, or {other}",
    ),
    Remedy(
        r"not a database|malformed",
        "no database, or a damaged one; put a copy of it in its place, or {other}",
    ),
    Remedy(
        r"no such (table|column)",
        "a table of MLflow is missing; put a copy of the database in its place, or {other}",
    ),
    Remedy(
        r"disk is full|disk I/O error|No space left",
        "no room for the tracking database; make room, or {other}",
    ),
    Remedy(r"unable to open database", "the tracking database cannot be opened; {other}"),
)
SERVER_REMEDIES = (
    Remedy(
        r"error code 40[13]|PERMISSION_DENIED|UNAUTHENTICATED",
        "the MLflow server refuses; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    ),
    Remedy(r"failed with error code", "no MLflow server, but another one answers; {other}"),
    Remedy(r"too many \d+ error", "the MLflow server reports errors; its log says which"),
    Remedy(
        r"API request to|Connection|timed? ?out|Max retries|resolve",
        "no MLflow server answers; start it, or unset " + ADDRESS,
    ),
)


def tracking_error_line(error: BaseException, database: str = "") -> str | None:
    """Return the line for an error of the tracking store; None for an error of another origin.

    A password in an address is not repeated.

    Args:
        error: of MLflow, a database or an HTTP request.
        database: file of the store, where it is known.

    Example:
        >>> import sqlite3
        >>> tracking_error_line(sqlite3.OperationalError("database is locked"), "mlruns/mlflow.db")
        'mlruns/mlflow.db: another program holds the tracking database; end it, or wait for it'
    """
    if type(error).__module__.partition(".")[0] not in PACKAGES:
        return None
    address = os.environ.get(ADDRESS, "")
    place = f"{ADDRESS} ({without_password(address)})" if address else database or "tracking store"
    other = f"name another in {ADDRESS}" if address else "give another --tracking_dir"
    upgraded = "URI" if address or not database else f"sqlite:///{database}"
    reason = first_line(error)
    over_http = address.startswith("http")
    for pattern, text in SERVER_REMEDIES if over_http else DATABASE_REMEDIES:
        if re.search(pattern, str(error)):
            return f"{place}: {text.format(other=other, upgraded=upgraded)}"
    return f"{place}: MLflow reports: {reason}"


def first_line(error: BaseException) -> str:
    """Return the first line of a message, without the names of drivers and without passwords.

    Example:
        >>> first_line(ValueError("(sqlite3.OperationalError) no such table: runs\\n[SQL: …]"))
        'no such table: runs'
    """
    line = (str(error).splitlines() or [type(error).__name__])[0]
    line = PASSWORD.sub("//", re.sub(r"^\([\w.]+\) ", "", line))
    return line.strip()[:MAX_REASON_CHARACTERS]


def without_password(address: str) -> str:
    """Return an address without user, password and query.

    Example:
        >>> without_password("https://me:secret@mlflow.org:5000/hospital?token=1")
        'https://mlflow.org:5000/hospital'
    """
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
