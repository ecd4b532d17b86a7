"""The limits of a sandboxed command, and the end of one that exceeds them."""

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

SECONDS_BETWEEN_CHECKS = 0.5
SECONDS_TO_END = 10


class Limits(NamedTuple):
    """What a sandboxed command may take.

    Attributes:
        memory: bytes, of each process and of all together.
        seconds: of time.
        processes: at one time.
        disk: bytes, of each file and of all together.
        open_files: of each process.
    """

    memory: int
    seconds: float = 600
    processes: int = 64
    disk: int = 4 * 1024**3
    open_files: int = 1024


def watch(process: subprocess.Popen[bytes], limits: Limits, folders: Sequence[Path]) -> str:
    """Wait for a process, and end it where it exceeds a limit.

    Args:
        process: that ends what it started when it is terminated.
        limits: for all that it starts.
        folders: that they may write to.

    Returns:
        The limit; empty: it ended by itself.
    """
    end = time.monotonic() + limits.seconds
    exceeded = ""
    try:
        while not exceeded and not _has_ended(process):
            late = f"longer than {limits.seconds:g} seconds" if time.monotonic() > end else ""
            exceeded = late or _exceeds(process.pid, limits, folders)
    finally:
        _end(process)
    return exceeded


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(SECONDS_BETWEEN_CHECKS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _exceeds(pid: int, limits: Limits, folders: Sequence[Path]) -> str:
    """Return the limit that all processes together exceed; empty: none."""
    try:
        processes = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return ""
    if len(processes) > limits.processes:
        return f"more than {limits.processes} processes"
    if sum(map(_memory_of, processes)) > limits.memory:
        return f"more than {limits.memory / 1e9:.1f} GB of memory"
    if sum(map(_size_of, folders)) > limits.disk:
        return f"more than {limits.disk / 1e9:.1f} GB on the disk"
    return ""


def _memory_of(process: psutil.Process) -> int:
    """Bytes of a process that it does not share with a file."""
    try:
        memory = process.memory_info()
    except psutil.Error:  # it has just ended
        return 0
    return int(memory.rss - getattr(memory, "shared", 0))


def _size_of(folder: Path) -> int:
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(path, name).lstat().st_blocks * 512
            except OSError:  # it has just been removed
                continue
    return total


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, which ends what it started; one that does not react is killed with it."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.wait()
