"""Files of SQLite that several processes write."""

import sqlite3
import subprocess
import sys
import threading

import pytest

from pipeline.database import Database

SCHEMA = "CREATE TABLE IF NOT EXISTS cells (process TEXT, n INTEGER)"
WRITER = """
import sys
from pathlib import Path
from pipeline.database import Database
database = Database(Path(sys.argv[1]), sys.argv[2], "table of cells")
for n in range(50):
    with database.transaction() as connection:
        connection.execute("INSERT INTO cells VALUES (?, ?)", (sys.argv[3], n))
"""


def test_processes_write_at_the_same_time_and_lose_nothing(tmp_path):
    path = tmp_path / "new" / "cells.db"
    command = [sys.executable, "-c", WRITER, str(path), SCHEMA]
    processes = [subprocess.Popen([*command, name]) for name in "abc"]
    assert [process.wait() for process in processes] == [0, 0, 0]
    rows = Database(path, SCHEMA, "table of cells").rows("SELECT * FROM cells")
    assert sorted(rows) == [(name, n) for name in "abc" for n in range(50)]


def test_a_file_that_another_begins_with_is_waited_for(tmp_path):
    other = sqlite3.connect(tmp_path / "cells.db", isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE others (n)")
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.2, other.execute, ["COMMIT"])
    release.start()
    assert Database(tmp_path / "cells.db", SCHEMA, "cells").rows("SELECT * FROM cells") == []
    release.join()


def test_a_block_that_fails_writes_nothing(tmp_path):
    database = Database(tmp_path / "cells.db", SCHEMA, "table of cells")

    def fail() -> None:
        with database.transaction() as connection:
            connection.execute("INSERT INTO cells VALUES ('a', 1)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert database.rows("SELECT * FROM cells") == []


def test_what_is_no_such_file_is_refused_in_one_line(tmp_path):
    (tmp_path / "text.db").write_text("no database, and long enough to have a head of its own")
    with pytest.raises(ValueError, match=r"text\.db: no table of cells .* move it away"):
        Database(tmp_path / "text.db", SCHEMA, "table of cells")
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(OSError, match=r"folder\.db: could not be opened"):
        Database(tmp_path / "folder.db", SCHEMA, "table of cells")


def test_another_process_that_holds_the_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.database.BUSY_SECONDS", 0.05)
    database = Database(tmp_path / "cells.db", SCHEMA, "table of cells")
    other = sqlite3.connect(tmp_path / "cells.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with (
        pytest.raises(OSError, match=r"cells\.db: could not be written \(database is locked\)"),
        database.transaction(),
    ):
        pass
