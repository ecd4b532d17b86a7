"""SQLite files that several processes write: each change is on the disk when it returns."""

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.files import shown

BUSY_SECONDS = 30.0
"""How long another process may hold the file."""
PAUSE_SECONDS = 0.02
"""Between two tries of what SQLite does not wait for by itself."""


class Database:
    """A file of SQLite that threads and processes share.

    Args:
        path: of the file; it is made where it is absent.
        schema: SQL that makes the tables which are not there yet.
        content: what the file holds, for the error.

    Raises:
        ValueError: the file is of another kind.
        OSError: it cannot be opened.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "cells.db"
        >>> database = Database(path, "CREATE TABLE IF NOT EXISTS cells (n)", "table of cells")
        >>> with database.transaction() as connection:
        ...     _ = connection.execute("INSERT INTO cells VALUES (3)")
        >>> database.rows("SELECT n FROM cells")
        [(3,)]
    """

    def __init__(self, path: Path, schema: str, content: str) -> None:
        self.path = path
        path.parent.mkdir(0o700, parents=True, exist_ok=True)  # patients' images
        self._lock = threading.RLock()
        try:
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._write_ahead()
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(schema)
        except sqlite3.OperationalError as error:
            raise OSError(f"{shown(path)}: could not be opened ({error})") from None
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{shown(path)}: no {content} ({error}); move it away") from None

    def _write_ahead(self) -> None:
        """Keep the log before the file; SQLite does not wait for another that begins with it."""
        end = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                is_busy = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
                if not is_busy or time.monotonic() > end:
                    raise
            time.sleep(PAUSE_SECONDS)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection; what is written in the block is written whole, or not at all.

        Raises:
            OSError: the disk is full, or another process holds the file.
        """
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.OperationalError as error:
                self._undo()
                raise OSError(f"{shown(self.path)}: could not be written ({error})") from None
            except BaseException:
                self._undo()
                raise

    def _undo(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
