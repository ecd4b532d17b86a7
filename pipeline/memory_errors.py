"""Lines for what happens where memory runs out."""

import re

ALLOCATION = re.compile(
    r"can't allocate memory|DefaultCPUAllocator|out of memory|ALLOC_FAILED|bad_alloc|"
    "could not create a memory object",
    re.IGNORECASE,
)
"""What torch says of memory that it does not get."""
WORKER = re.compile(r"DataLoader worker \(pid\(?s?\)? ?([\d, ]+)\)")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that there is no memory.

    Example:
        >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
        True
    """
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and ALLOCATION.search(str(error)) is not None


def is_killed_worker(error: BaseException) -> bool:
    """Return whether an error says that a process of a data loader was killed.

    Example:
        >>> is_killed_worker(RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."))
        True
    """
    return WORKER.match(str(error)) is not None


def memory_line(error: BaseException) -> str | None:
    """Return the line for an error of want of memory, or None.

    Example:
        >>> memory_line(RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."))[:46]
        'a worker of the data loader was killed (7), mo'
    """
    if is_out_of_memory(error):
        return (
            "out of memory; lower --batch_size or the sides of --patch in training, those of "
            "--window elsewhere"
        )
    if match := WORKER.match(str(error)):
        return (
            f"a worker of the data loader was killed ({match[1].strip()}), most often since memory "
            "ran out; lower num_workers"
        )
    return None
