"""A folder has one writer at a time: two that write to one would mix their files."""

import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from pipeline.states import PREVIOUS_STATE, STATE

TRAINED_FILES = (STATE, PREVIOUS_STATE, "model.pt")
"""What a training leaves in its folder, and no other may overwrite."""

WAIT_SECONDS = 0.5
"""How long to wait for a folder: until a question of :func:`is_claimed` is answered."""
MODEL_WAIT_SECONDS = 60
"""How long to wait for another process that writes the same model, which takes it a moment."""


class Claim:
    """The right to write to a folder, from :meth:`acquire` to :meth:`release`; see :func:`claim`.

    The system drops the lock of a process that ended, however it ended; a forked process has no
    part in it. A file beside the lock says who holds it.

    Args:
        folder: that is written; a file, for what is written together with it.
        wait_seconds: how long to wait for another writer.
    """

    def __init__(self, folder: Path, wait_seconds: float = WAIT_SECONDS) -> None:
        self.folder, self.wait_seconds = Path(folder), wait_seconds
        self.path = lock_path(self.folder)
        self.lock = FileLock(self.path, thread_local=False)

    def acquire(self) -> None:
        """Claim the folder, once.

        Raises:
            ValueError: another process writes there, or this one by another claim.
            OSError: the place of the lock cannot be written; the system's reason.
        """
        if self.lock.is_locked:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.lock.acquire(timeout=self.wait_seconds)
            _write_owner(self.path)
        except Timeout:
            raise ValueError(
                f"{self.folder}: is being written by {_holder(self.path)}; wait for it to end, or "
                "write to another folder"
            ) from None
        except OSError as error:
            self.release()
            raise OSError(
                f"{self.folder}: cannot be written ({error.strerror}); make it writable, or write "
                "to another folder"
            ) from None

    def release(self) -> None:
        """Give the folder up; nothing happens where it was not claimed."""
        if self.lock.is_locked:
            # removed while locked: who waits for the removed file tries again with a new one
            _owner_path(self.path).unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)
            self.lock.release()

    def __enter__(self) -> "Claim":
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def claim(folder: Path, wait_seconds: float = WAIT_SECONDS) -> Claim:
    """Return a claim on a folder, to be held while it is written.

    Args:
        folder: that is written; it need not exist.
        wait_seconds: how long to wait for another writer.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / "run"
        >>> with claim(folder):
        ...     is_claimed(folder)
        True
        >>> is_claimed(folder)
        False
    """
    return Claim(folder, wait_seconds)


def is_claimed(folder: Path) -> bool:
    """Return whether a living process writes to a folder; the lock of a dead one is removed."""
    question = claim(folder)
    if not question.path.is_file():
        return False
    try:
        question.lock.acquire(timeout=0)
    except OSError:  # it is held, or is of a user whose locks this one may not open
        return True
    question.release()
    return False


def lock_path(folder: Path) -> Path:
    """Return the file by which a folder is locked: beside it, or in it where that cannot be.

    A folder whose parent belongs to another user, as the output of a container does, is locked by
    a file of its own.
    """
    folder = Path(folder).resolve()
    if folder.is_dir() and not os.access(folder.parent, os.W_OK):
        return folder / ".lock"
    return folder.parent / f".{folder.name}.lock"


def _owner_path(lock: Path) -> Path:
    return lock.with_name(f"{lock.name}.json")


def _write_owner(lock: Path) -> None:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    owner = {"process": os.getpid(), "host": socket.gethostname(), "since": since}
    _owner_path(lock).write_text(json.dumps(owner), "utf-8")


def _holder(lock: Path) -> str:
    try:
        owner = json.loads(_owner_path(lock).read_text("utf-8"))
        return f"process {owner['process']} on {owner['host']} since {owner['since']}"
    except (OSError, ValueError, LookupError, TypeError):  # it has only just locked the folder
        return "another process"


def refuse_another_run(folder: Path, resume: str | None) -> None:
    """Refuse a folder with the state or the model of another training than the resumed one.

    Args:
        folder: of the training that begins.
        resume: what it goes on from; None: it is new.

    Raises:
        ValueError: the folder holds another training.
    """
    if resume is not None and Path(resume).resolve().is_relative_to(Path(folder).resolve()):
        return
    for name in TRAINED_FILES:
        if (folder / name).is_file():
            raise ValueError(
                f"{folder}: holds the {name} of another training; go on with it by --resume "
                f"{folder}, or give another --run_name"
            )
