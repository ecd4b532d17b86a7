"""Images that a viewer lends for a while: segmented, and not kept."""

import secrets
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pipeline.serving.refusals import UnknownError
from pipeline.serving.uploads import IMAGE_SUFFIXES, store_upload, suffix_of_upload

MAX_SESSIONS = 16
"""Number of images that are kept; the oldest goes first."""
MAX_SECONDS = 3600


class Session(NamedTuple):
    """A lent image.

    Attributes:
        id: random, so that nobody guesses it.
        folder: of its file.
        expires: when it is removed, in seconds since 1970.
        seconds: how long it is kept.
    """

    id: str
    folder: Path
    expires: float
    seconds: int


class Sessions:
    """The lent images; they are removed when they expire, and when the service starts or ends.

    Args:
        folder: of them all.
        most_bytes: of one.
        clock: seconds since 1970.
    """

    def __init__(
        self, folder: Path, most_bytes: int, clock: Callable[[], float] = time.time
    ) -> None:
        self.folder, self.most_bytes, self.clock = folder, most_bytes, clock
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Remove all images."""
        with self._lock:
            self._sessions.clear()
            shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, name: str | None, file: BinaryIO, seconds: int = 0) -> Session:
        """Keep an uploaded image.

        Args:
            name: of the file, for its suffix.
            file: its content.
            seconds: how long to keep it, an hour at most; 0: an hour.

        Raises:
            ValueError: a file that is not accepted.
            OSError: it cannot be written.
        """
        suffix = suffix_of_upload(name, IMAGE_SUFFIXES)
        key = secrets.token_hex(16)
        seconds = min(seconds, MAX_SECONDS) if seconds > 0 else MAX_SECONDS
        store_upload(file, self.folder / key, suffix, self.most_bytes)
        session = Session(key, self.folder / key, self.clock() + seconds, seconds)
        with self._lock:
            self._expire()
            while len(self._sessions) >= MAX_SESSIONS:
                self._remove(next(iter(self._sessions)))
            self._sessions[key] = session
        return session

    def get(self, key: str) -> Session:
        """Return a session.

        Raises:
            UnknownError: there is none, or it has expired.
        """
        with self._lock:
            self._expire()
            session = self._sessions.get(key)
        if session is None:
            raise UnknownError("session: not known, or it has expired; upload the image again")
        return session

    def remove(self, key: str) -> None:
        """Remove a session.

        Raises:
            UnknownError: there is none.
        """
        self.get(key)
        with self._lock:
            self._remove(key)

    def _expire(self) -> None:
        for key in [k for k, one in self._sessions.items() if one.expires < self.clock()]:
            self._remove(key)

    def _remove(self, key: str) -> None:
        if session := self._sessions.pop(key, None):
            shutil.rmtree(session.folder, ignore_errors=True)
