"""Atomic writing of files: a reader sees the old file or the new one, never a part."""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import socket
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from pipeline.plain_text import plain_line

UNFINISHED = ".unfinished"
"""Beginning of the names of files that are being written."""
MAX_PATH_CHARACTERS = 4096
"""Length of the longest path that most systems take."""


@contextmanager
def atomic(path: Path, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path next to ``path`` and rename it to ``path`` after the block.

    If the block raises, for example because the disk is full, the temporary file is removed and an
    older ``path`` stays unchanged. The temporary name keeps the suffix, from which writers take the
    format, and names this process, see :func:`remove_unfinished`.

    Args:
        path: that is written.
        durable: whether it must outlast a failure of power: it is on the disk before it is renamed.

    Raises:
        OSError: the file cannot be written; the message names ``path`` and the system's reason.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "note.txt"
        >>> with atomic(target) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> target.read_text(), len(list(target.parent.iterdir()))
        ('whole', 1)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    own = f"{UNFINISHED}-{_host()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    temporary = path.with_name(own + "".join(path.suffixes))
    try:
        yield temporary
        if durable:
            sync_file(temporary)
        temporary.replace(path)
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(f"{path}: could not be written ({reason}); nothing is half-written") from None
    finally:
        temporary.unlink(missing_ok=True)


def shown(path: Path) -> str:
    """Return a path as it is typed from the working directory.

    Example:
        >>> shown(Path.cwd() / "models" / "mine")
        'models/mine'
    """
    absolute, working = Path(path).resolve(), Path.cwd()
    typed = absolute.relative_to(working) if absolute.is_relative_to(working) else absolute
    return plain_line(typed, MAX_PATH_CHARACTERS)


def sync_folder(folder: Path) -> None:
    """Put the names of a folder's files on the disk, where the system can."""
    if hasattr(os, "O_DIRECTORY"):  # not on Windows
        sync_file(folder)


def remove_unfinished(folder: Path) -> None:
    """Remove the files that processes of this machine were writing when they were killed."""
    for path in folder.glob(f"{UNFINISHED}-{_host()}-*"):
        process = path.name.removeprefix(f"{UNFINISHED}-{_host()}-").partition("-")[0]
        if process.isdigit() and not psutil.pid_exists(int(process)):
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str, durable: bool = False) -> None:
    """Write a text file atomically; ``durable`` as in :func:`atomic`."""
    with atomic(path, durable) as temporary:
        temporary.write_text(text, "utf-8")


def write_json(path: Path, content: Any, durable: bool = False) -> None:
    """Write ``content`` as indented JSON atomically; ``durable`` as in :func:`atomic`."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n", durable)


def as_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    """Return rows as comma-separated text with a heading.

    Args:
        rows: the values by the names of their columns; what a row lacks is empty.
        columns: their order; none: that of first appearance.

    Example:
        >>> as_csv([{"a": 1}, {"b": "x,y"}])
        'a,b\\n1,\\n,"x,y"\\n'
    """
    text, kept = io.StringIO(), list(rows)
    names = list(columns) or list(dict.fromkeys(name for row in kept for name in row))
    writer = csv.DictWriter(text, fieldnames=names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(kept)
    return text.getvalue()


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_file(path: Path) -> None:
    """Put a file on the disk, before anything depends on it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _host() -> str:
    """The name of this machine, without what a file's name cannot hold or the pattern reads."""
    return re.sub(r"[^A-Za-z0-9]", "_", socket.gethostname())


def fill_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    """Call ``fill`` on a temporary folder, then rename that folder to ``folder``.

    An interruption leaves no incomplete ``folder``. An existing folder that is not empty is
    refused, since it may hold somebody's data.

    Raises:
        FileExistsError: ``folder`` exists and is not empty.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder}: exists and is not empty; give another --out or remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}-{os.getpid()}")
    temporary.mkdir()
    try:
        fill(temporary)
        if folder.exists():
            folder.rmdir()
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_writable(folder: Path, setting: str) -> None:
    """Refuse a folder that cannot be written; one that is absent is not made.

    A file is written to it, or to the folder in which it would be made, and removed.

    Args:
        folder: where something is to be written.
        setting: that names the folder, for the message, as ``--models_dir``.

    Raises:
        OSError: the system's reason.
    """
    try:
        with tempfile.TemporaryFile(dir=nearest_existing(folder)) as file:
            file.write(b"0")
    except OSError as error:
        raise OSError(
            f"{folder}: cannot be written ({error.strerror}); make it writable, or give another "
            f"{setting}"
        ) from None


def check_room(folder: Path, needed: int, purpose: str, setting: str) -> None:
    """Refuse a folder on a disk with too little room.

    Args:
        folder: where something is to be written.
        needed: bytes.
        purpose: what they are needed for, for the message.
        setting: that names the folder, for the message.

    Raises:
        ValueError: there is less room.

    Example:
        >>> check_room(Path.cwd(), 0, "nothing", "--out")
    """
    free = shutil.disk_usage(nearest_existing(folder)).free
    if free < needed:
        raise ValueError(
            f"{folder}: found room for {_size(free)}, expected {_size(needed)} for {purpose}; "
            f"make room, or give another {setting}"
        )


def _size(number: int) -> str:
    """Bytes as a person reads them."""
    return f"{number / 1e9:.2f} GB" if number >= 1e9 else f"{number / 1e6:.2f} MB"


def nearest_existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    folder = Path(folder).absolute()
    return next(path for path in (folder, *folder.parents) if path.exists())
