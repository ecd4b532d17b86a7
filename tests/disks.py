"""Disks that no test waits for: none cuts the power, and every commit of MLflow is such a wait."""

import os

from sqlalchemy import Engine, event


def wait_for_no_disk() -> None:
    """Leave what this process and its forks write to the system, which writes it in its own time.

    What a killed process has written is there all the same.
    """
    os.fsync = lambda _: None
    if not event.contains(Engine, "connect", _leave_to_the_system):
        event.listen(Engine, "connect", _leave_to_the_system)


def _leave_to_the_system(connection, _record) -> None:
    connection.execute("PRAGMA synchronous = OFF")
