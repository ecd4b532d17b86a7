"""The sandbox: a foreign command reaches little, and takes little."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pipeline.data.memory import available_memory
from pipeline.shared_processor import WAIT_VARIABLES
from pipeline.sharing.archive import RefusedError
from pipeline.sharing.isolation import (
    PLAIN,
    Isolation,
    Places,
    installed_isolations,
    program_places,
)
from pipeline.sharing.limits import Limits, watch
from pipeline.sharing.source import INSTALL_FOLDER

KEPT_VARIABLES = (
    "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "OMP_NUM_THREADS",
    "MKL_NUM_THREADS", *WAIT_VARIABLES,
)  # fmt: skip
"""Variables of the environment that a sandboxed process gets."""
HOME, TEMPORARY = "home", "tmp"
PROBE_SECONDS = 30
MAX_PRINTED = 20_000
"""Characters of what a process printed that are kept, the last ones."""
MAX_MEMORY = 16 * 1024**3
MEMORY_SHARE = 0.75
"""Share of the free memory that a sandboxed process may take."""
MAX_THREADS = 1024
OF_SIGNALS = 128
"""What a shell, and ``limited.py``, add to the number of the signal that ended a command."""
OTHER_THREADS = 8 * MAX_THREADS
"""Threads that the user may have already, where the system does not say how many."""
LIMITED = Path(__file__).with_name("limited.py")
"""Program that runs a command within limits."""


class Outcome(NamedTuple):
    """How a sandboxed command ended.

    Attributes:
        code: its exit code; of a signal, as a shell counts it.
        printed: the end of its standard output.
        errors: the end of its standard error.
        exceeded: the limit for which it was ended; empty: it ended by itself.
    """

    code: int
    printed: str
    errors: str
    exceeded: str = ""

    @property
    def reason(self) -> str:
        """Why it failed, in one line; empty: it did not."""
        if self.exceeded or not self.code:
            return self.exceeded
        if OF_SIGNALS < self.code <= OF_SIGNALS + signal.NSIG:
            return f"ended by signal {self.code - OF_SIGNALS}"
        lines = (self.errors.strip() or self.printed.strip()).splitlines()
        return lines[-1] if lines else f"ended with {self.code} and without a message"


def default_limits() -> Limits:
    """Return limits that leave the machine some of its free memory."""
    return Limits(memory=min(MAX_MEMORY, int(MEMORY_SHARE * available_memory())))


def find_isolation() -> Isolation:
    """Return the best isolation that works here; each is tried with a program that does nothing.

    Raises:
        RefusedError: on Windows, which has no limits for a process.
    """
    if sys.platform == "win32":
        raise RefusedError("sample", "Windows", "runs on Linux or macOS alone; receive it there")
    command = [sys.executable, "-I", "-S", "-c", ""]
    limits = default_limits()._replace(seconds=PROBE_SECONDS)
    for isolation in installed_isolations():
        with tempfile.TemporaryDirectory() as folder:
            if not run_sandboxed(command, isolation, limits, [], Path(folder)).code:
                return isolation
    return PLAIN


def run_sandboxed(
    command: Sequence[str],
    isolation: Isolation,
    limits: Limits,
    readable: Sequence[Path],
    writable: Path,
) -> Outcome:
    """Run a command in a sandbox, to its end or to its limits; nothing that it started goes on.

    It has an empty home, the few variables of :data:`KEPT_VARIABLES`, and no GPU.

    Args:
        command: the words.
        isolation: see :func:`find_isolation`.
        limits: see :func:`default_limits`.
        readable: what it reads beside the system, Python and this project.
        writable: the folder that it may write to, where it starts.
    """
    writable = writable.resolve()
    with tempfile.TemporaryDirectory() as folder:
        outer = Path(folder).resolve()
        root, private = outer / "root", outer / "private"
        for made in (root, private / HOME, private / TEMPORARY):
            made.mkdir(parents=True)
        seen = [*program_places(), *(path.resolve() for path in readable)]
        places = Places(seen, [private, writable], writable, root)
        words = _limited(isolation.wrap(command, places), limits)
        with _printed_to(outer) as files:
            process = subprocess.Popen(
                words,
                cwd=writable,
                env=environment(private),
                stdin=subprocess.DEVNULL,
                stdout=files[0],
                stderr=files[1],
                start_new_session=True,
            )
            exceeded = watch(process, limits, places.writable)
        printed, errors = (_end_of(outer / name) for name in PRINTED)
        return Outcome(process.returncode, printed, errors, exceeded)


def environment(private: Path) -> dict[str, str]:
    """Return the variables that a sandboxed process gets.

    Args:
        private: folder with its home and its temporary folder.
    """
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return {
        **kept,
        "HOME": str(private / HOME),
        "TMPDIR": str(private / TEMPORARY),
        "USER": "sandbox",
        "LOGNAME": "sandbox",
        "PYTHONPATH": str(INSTALL_FOLDER),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }


PRINTED = ("printed", "errors")


@contextmanager
def _printed_to(folder: Path) -> Iterator[list[int]]:
    """Yield the descriptors of two files: what is printed to them is bounded, as every file is."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    descriptors = [os.open(folder / name, flags, 0o600) for name in PRINTED]
    try:
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _end_of(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - MAX_PRINTED))
        return file.read().decode("utf-8", "replace")


def _limited(command: Sequence[str], limits: Limits) -> list[str]:
    """The command with the limits that the system itself holds."""
    kinds = {
        "DATA": limits.memory,
        "FSIZE": limits.disk,
        "NOFILE": limits.open_files,
        "NPROC": _threads_here() + limits.processes + MAX_THREADS,
        "CPU": int(limits.seconds * (os.cpu_count() or 1)) + 1,
        "CORE": 0,
    }
    return [sys.executable, "-I", "-S", str(LIMITED), json.dumps(kinds), *command]


def _threads_here() -> int:
    """Threads of all users, of which the system counts the own ones against their limit."""
    try:
        return int(Path("/proc/loadavg").read_text("utf-8").split()[3].partition("/")[2])
    except OSError:  # not Linux
        return OTHER_THREADS
