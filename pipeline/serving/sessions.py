"""Images that a viewer lends for a while: segmented, and not kept."""

import secrets
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pipeline.serving.refusals import UnknownError
from pipeline.serving.uploads import IMAGE_SUFFIXES, UploadStore, suffix_of_upload

MAX_SESSIONS = 8
"""Number of images that are kept for a user, whose oldest one goes first."""
MAX_SECONDS = 3600


class Session(NamedTuple):
    """A lent image.

    Attributes:
        id: random, so that nobody guesses it.
        user: whose it is; others do not see it.
        folder: of its file.
        expires: when it is removed, in seconds since 1970.
        seconds: how long it is kept.
    """

    id: str
    user: str
    folder: Path
    expires: float
    seconds: int


class Sessions:
    """The lent images; they are removed when they expire, and when the service starts or ends.

    Args:
        folder: of them all.
        uploads: that stores them.
        clock: seconds since 1970.
    """

    def __init__(
        self, folder: Path, uploads: UploadStore, clock: Callable[[], float] = time.time
    ) -> None:
        self.folder, self.uploads, self.clock = folder, uploads, clock
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Remove all images."""
        with self._lock:
            self._sessions.clear()
            shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, user: str, name: str | None, file: BinaryIO, seconds: int = 0) -> Session:
        """Keep an uploaded image.

        Args:
            user: who lends it.
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
        self.uploads.store(file, suffix, self.folder / key)
        session = Session(key, user, self.folder / key, self.clock() + seconds, seconds)
        with self._lock:
            self._expire()
            own = [one.id for one in self._sessions.values() if one.user == user]
            for oldest in own[: max(0, len(own) - MAX_SESSIONS + 1)]:
                self._remove(oldest)
            self._sessions[key] = session
        return session

    def get(self, key: str, user: str) -> Session:
        """Return a session of a user.

        Raises:
            UnknownError: there is none, it is another's, or it has expired.
        """
        with self._lock:
            self._expire()
            session = self._sessions.get(key)
        if session is None or session.user != user:
            raise UnknownError("session: not known, or it has expired; upload the image again")
        return session

    def remove(self, key: str, user: str) -> None:
        """Remove a session of a user.

        Raises:
            UnknownError: as :meth:`get`.
        """
        self.get(key, user)
        with self._lock:
            self._remove(key)

    def discard(self, session: Session) -> None:
        """Remove a session, if it is still there."""
        with self._lock:
            self._remove(session.id)

    def _expire(self) -> None:
        for key in [k for k, one in self._sessions.items() if one.expires < self.clock()]:
            self._remove(key)

    def _remove(self, key: str) -> None:
        if session := self._sessions.pop(key, None):
            shutil.rmtree(session.folder, ignore_errors=True)
