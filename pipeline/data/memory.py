"""The memory that this process may still take."""

import sys
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")
"""Where Linux says what a container may take."""


def available_memory() -> int:
    """Return the bytes that are free: of the machine, of the container, of the process's limit."""
    amounts = [psutil.virtual_memory().available, *_container_memory(), *_process_memory()]
    return max(0, min(amounts))


def _container_memory() -> list[int]:
    limit, used = (_number(CGROUP / name) for name in ("memory.max", "memory.current"))
    return [] if limit is None or used is None else [limit - used]


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
