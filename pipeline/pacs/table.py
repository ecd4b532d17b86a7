"""The table of studies: what is to be done, what is done, what failed and why."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.database import Database

STATES = ("arriving", "waiting", "running", "done", "failed")
ARRIVING, WAITING, RUNNING, DONE, FAILED = STATES
"""States, in their order: its instances come; it is complete; it is segmented; the end of both."""
SENT = ""
"""Source of a study that was sent to where this machine listens."""
LATE = "instances came after it was segmented; unet-school pacs retry segments it again"

SCHEMA = """
CREATE TABLE IF NOT EXISTS studies (
    uid TEXT PRIMARY KEY, source TEXT NOT NULL, state TEXT NOT NULL, instances INTEGER NOT NULL,
    changed REAL NOT NULL, due REAL NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    round INTEGER NOT NULL DEFAULT 1, results INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS by_state ON studies (state, due);
CREATE TABLE IF NOT EXISTS received (
    uid TEXT NOT NULL, study TEXT NOT NULL, PRIMARY KEY (study, uid)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS produced (uid TEXT PRIMARY KEY) WITHOUT ROWID;
"""
COLUMNS = "uid, source, state, instances, changed, due, attempts, round, results, reason"


class Study(NamedTuple):
    """A row of the table.

    Attributes:
        uid: StudyInstanceUID.
        source: peer that is asked for it; empty: it is sent here.
        state: arriving, waiting, running, done or failed.
        instances: number that came, or that the peer has.
        changed: when the number changed last, in seconds since 1970.
        due: when it is tried again.
        attempts: number of faults of the network since it was complete.
        round: 1, and 1 more each time it is to be segmented anew.
        results: number of objects that were stored.
        reason: why it failed or waits, or what came too late.
    """

    uid: str
    source: str
    state: str
    instances: int
    changed: float
    due: float
    attempts: int
    round: int
    results: int
    reason: str


class StudyTable:
    """The table in ``FOLDER/studies.db``; each change is on the disk when its method returns.

    Args:
        path: of the database; it is made where it is absent.

    Raises:
        ValueError: the file is no such table.

    Example:
        >>> import tempfile
        >>> table = StudyTable(Path(tempfile.mkdtemp()) / "studies.db")
        >>> table.receive("1.2.3", "1.2.3.1", now=100.0)
        >>> table.complete_quiet(before=160.0)
        >>> study = table.take(now=160.0)
        >>> study.uid, study.state, study.instances
        ('1.2.3', 'running', 1)
        >>> table.finish(study, instances=1, results=1)
        True
        >>> table.counts()
        {'done': 1}
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, SCHEMA, "table of studies")

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def has(self, study: str, uid: str) -> bool:
        """Return whether an instance came before, or is a result that was stored."""
        rows = self._database.rows(
            "SELECT 1 FROM received WHERE study = ? AND uid = ? "
            "UNION ALL SELECT 1 FROM produced WHERE uid = ?",
            (study, uid, uid),
        )
        return bool(rows)

    def receive(self, study: str, uid: str, now: float) -> None:
        """Record an instance that was sent here and is on the disk.

        A study that waits, or has failed, is arriving again. One that is running or done stays,
        and the instance is recorded as late.
        """
        with self._database.transaction() as connection:
            row = ("INSERT OR IGNORE INTO received VALUES (?, ?)", (uid, study))
            if not connection.execute(*row).rowcount:
                return
            connection.execute(
                "INSERT INTO studies (uid, source, state, instances, changed) "
                "VALUES (?, ?, ?, 1, ?) ON CONFLICT (uid) DO UPDATE SET "
                "instances = instances + 1, changed = excluded.changed, "
                "state = CASE WHEN state IN ('waiting', 'failed') THEN 'arriving' ELSE state END, "
                "reason = CASE state WHEN 'done' THEN ? WHEN 'running' THEN reason ELSE '' END "
                "WHERE source = excluded.source",
                (study, SENT, ARRIVING, now, LATE),
            )

    def see(self, source: str, studies: Mapping[str, int], now: float) -> None:
        """Record which studies a peer has.

        Args:
            source: name of the peer.
            studies: number of instances that it has of each, by StudyInstanceUID.
            now: seconds since 1970.
        """
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT INTO studies (uid, source, state, instances, changed) "
                "VALUES (?, ?, ?, ?, ?) ON CONFLICT (uid) DO UPDATE SET "
                "changed = excluded.changed, instances = excluded.instances, "
                "state = 'arriving' WHERE source = excluded.source "
                "AND state IN ('arriving', 'waiting') AND instances <> excluded.instances",
                [(uid, source, ARRIVING, number, now) for uid, number in studies.items()],
            )
            connection.executemany(
                "UPDATE studies SET reason = ? WHERE uid = ? AND source = ? AND state = 'done' "
                "AND ? > instances + results",
                [(LATE, uid, source, number) for uid, number in studies.items()],
            )

    def complete_quiet(self, before: float) -> None:
        """Let each study wait for its turn of which nothing came since a time."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE studies SET state = 'waiting', due = 0, attempts = 0 "
                "WHERE state = 'arriving' AND changed <= ?",
                (before,),
            )

    def complete(self, study: Study) -> None:
        """Let a study wait for its turn, unless another instance came."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE studies SET state = 'waiting', due = 0, attempts = 0 "
                "WHERE uid = ? AND state = 'arriving' AND instances = ?",
                (study.uid, study.instances),
            )

    def take(self, now: float) -> Study | None:
        """Return a study whose turn it is, as running; None: there is none."""
        with self._database.transaction() as connection:
            row = connection.execute(
                f"SELECT {COLUMNS} FROM studies WHERE state = 'waiting' AND due <= ? "
                "ORDER BY due, changed, uid LIMIT 1",
                (now,),
            ).fetchone()
            if row is None:
                return None
            study = Study(*row)._replace(state=RUNNING)
            connection.execute("UPDATE studies SET state = 'running' WHERE uid = ?", (study.uid,))
        return study

    def produce(self, uids: Iterable[str]) -> None:
        """Record the results that are stored, which a peer may send here."""
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO produced VALUES (?)", [(uid,) for uid in uids]
            )

    def is_failed(self, study: str) -> bool:
        """Return whether a study failed."""
        failed = "SELECT 1 FROM studies WHERE uid = ? AND state = 'failed'"
        return bool(self._database.rows(failed, (study,)))

    def finish(self, study: Study, instances: int, results: int) -> bool:
        """Record that a study is done; return whether nothing of it came too late.

        Args:
            study: that was running.
            instances: number that was segmented; if more have come, they are recorded as late.
            results: number of objects that were stored.
        """
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE studies SET state = 'done', results = ?, "
                "reason = CASE WHEN instances > ? THEN ? ELSE '' END WHERE uid = ?",
                (results, instances, LATE, study.uid),
            )
            reason = connection.execute("SELECT reason FROM studies WHERE uid = ?", (study.uid,))
            return not reason.fetchone()[0]

    def postpone(self, study: Study, reason: str, due: float) -> None:
        """Let a study wait after a fault of the network."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE studies SET state = 'waiting', attempts = attempts + 1, due = ?, "
                "reason = ? WHERE uid = ?",
                (due, reason, study.uid),
            )

    def fail(self, study: Study, reason: str) -> None:
        """Record why a study failed."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE studies SET state = 'failed', reason = ? WHERE uid = ?",
                (reason, study.uid),
            )

    def recover(self) -> None:
        """Let the studies wait that a process was running when it ended."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE studies SET state = 'waiting', due = 0 WHERE state = 'running'"
            )

    def retry(self, uid: str) -> None:
        """Let a failed study wait again, or segment one anew of which instances came too late.

        Raises:
            ValueError: no such study, or there is nothing to try again.
        """
        with self._database.transaction() as connection:
            tried = connection.execute(
                "UPDATE studies SET round = round + (state = 'done'), state = 'waiting', due = 0, "
                "attempts = 0, reason = '' WHERE uid = ? "
                "AND (state = 'failed' OR (state = 'done' AND reason <> ''))",
                (uid,),
            ).rowcount
        if not tried:
            states = [study.state for study in self.studies() if study.uid == uid]
            raise ValueError(
                f"{uid}: {f'is {states[0]}' if states else 'no such study'}; only a failed study, "
                "or one with late instances, can be tried again; unet-school pacs list"
            )

    def studies(self, states: Sequence[str] = ()) -> list[Study]:
        """Return the studies in some states, or all, those that changed last at the end."""
        marks = ", ".join("?" * len(states or STATES))
        rows = self._database.rows(
            f"SELECT {COLUMNS} FROM studies WHERE state IN ({marks}) ORDER BY changed, uid",
            tuple(states or STATES),
        )
        return [Study(*row) for row in rows]

    def counts(self) -> dict[str, int]:
        """Return the number of studies in each state."""
        rows = self._database.rows("SELECT state, count(*) FROM studies GROUP BY state")
        return {str(state): int(number) for state, number in rows}
