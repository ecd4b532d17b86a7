"""The memory that this process may still take."""

import os
import sys
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")
"""Where Linux says what a container may take."""
LIMITS = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
"""Files of a limit and of what is used of it, of both versions of control groups."""


def available_memory() -> int:
    """Return the bytes that are free: of the machine, of the container, of the process's limit."""
    amounts = [psutil.virtual_memory().available, *_container_memory(), *_process_memory()]
    return max(0, min(amounts))


def processes_here() -> int:
    """Return how many processes ``torchrun`` started on this machine; 1 without it."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Return whether this process speaks for all that ``torchrun`` started."""
    return os.environ.get("RANK", "0") == "0"


def _container_memory() -> list[int]:
    amounts = []
    for limit_file, used_file in LIMITS:
        limit, used = _number(CGROUP / limit_file), _number(CGROUP / used_file)
        if limit is not None and used is not None:
            statistics = (CGROUP / used_file).with_name("memory.stat")
            amounts.append(limit - used + _reclaimable(statistics))
    return amounts


def _reclaimable(statistics: Path) -> int:
    """Bytes of files that the system keeps in memory as long as nobody else needs it."""
    try:
        rows = dict(line.split() for line in statistics.read_text("utf-8").splitlines())
    except (OSError, ValueError):
        return 0
    return int(rows.get("inactive_file", 0))


def _process_memory() -> list[int]:
    if sys.platform == "win32":
        return []
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return []
    return [limit - psutil.Process().memory_info().vms]


def _number(path: Path) -> int | None:
    try:
        text = path.read_text("utf-8").strip()
    except OSError:  # no such limit here
        return None
    return int(text) if text.isdigit() else None
