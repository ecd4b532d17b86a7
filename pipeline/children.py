"""A run that a command starts as a process of its own ends with it, even when it is killed."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

PARENT = "UNET_SCHOOL_PARENT"
"""Environment variable: the process that started this one and waits for it."""
PR_SET_PDEATHSIG = 1
"""Of Linux's ``prctl``: the signal that a process gets when its parent ends."""
EXIT_SECONDS = 60
"""Seconds that an interrupted run may take to end its records."""


def run_child(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command to its end, and return its exit code.

    An interruption of this process interrupts the command, which then ends its records. A command
    that calls :func:`end_with_parent` also ends when this process is killed.

    Args:
        command: the words.
        environment: variables beside those of this process.

    Example:
        >>> run_child([sys.executable, "-c", "raise SystemExit(3)"], {})
        3
    """
    own = {**os.environ, **environment, PARENT: str(os.getpid())}
    with subprocess.Popen(command, env=own) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the terminal has interrupted the command as well
            _end(process)
            raise
        except BaseException:
            process.terminate()
            _end(process)
            raise


def end_with_parent() -> None:
    """Be terminated when the process ends that called :func:`run_child`; at once if it has ended.

    On Linux. Elsewhere an orphaned run goes on, and holds the claim on its folder.

    Raises:
        SystemExit: the parent has ended.
    """
    parent = os.environ.pop(PARENT, None)  # a process that this one starts has another parent
    if parent is None or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):  # it ended before the signal was asked for
        raise SystemExit(143)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
