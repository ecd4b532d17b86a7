"""Run a command within limits of the system, and end all that it started.

A program of its own, ``python limited.py LIMITS COMMAND …``, that needs the standard library alone:
it waits outside the sandbox, and its limits hold for all that it starts. Unix only.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

OF_SIGNALS = 128
"""What a shell adds to the number of the signal that ended a command."""
TERMINATED = OF_SIGNALS + signal.SIGTERM
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
"""Of Linux's ``prctl``: a signal when the parent ends; orphans below become own children."""


def main(limits: Mapping[str, int], command: Sequence[str]) -> int:
    """Run a command, end all that it started, and return its exit code, as a shell does.

    Args:
        limits: names of :mod:`resource` without ``RLIMIT_``, and their values.
        command: the words.
    """
    if sys.platform.startswith("linux"):
        prctl = ctypes.CDLL(None).prctl
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGTERM, _exit)
    child = os.fork()
    if not child:
        _become(limits, command)
    try:
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else OF_SIGNALS - code
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _end_group(child)
        _end_orphans()


def _become(limits: Mapping[str, int], command: Sequence[str]) -> None:
    """Turn this process into the command; never return."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setpgid(0, 0)
        for name, value in limits.items():
            _limit(getattr(resource, f"RLIMIT_{name}", None), value)
        os.execvp(command[0], list(command))
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
    finally:
        os._exit(127)


def _limit(kind: int | None, value: int) -> None:
    if kind is None:  # a limit that this system does not have
        return
    _, hard = resource.getrlimit(kind)
    lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (lower, lower))


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)


def _end_group(child: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended
        os.killpg(child, signal.SIGKILL)


def _end_orphans() -> None:
    """Kill own children until there are none: those of a killed one become own children."""
    while True:
        for process in _children():
            os.kill(process, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    states = Path("/proc").glob("[0-9]*/stat")  # none on a system that is not Linux
    return [int(state.parent.name) for state in states if _is_own(state)]


def _is_own(state: Path) -> bool:
    """Whether the state of a process says that this one is its parent."""
    try:
        parent = state.read_text("utf-8", "replace").rpartition(")")[2].split()[1]
    except OSError:  # it has just ended
        return False
    return int(parent) == os.getpid()


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))
