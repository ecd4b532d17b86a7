"""Lines for what happens where memory runs out."""

import re
from collections.abc import Sequence

MIN_SIDE = 32
"""Shortest side, pixels, that a patch or window is halved to: networks of five poolings take it."""
ALLOCATION = re.compile(
    r"can't allocate memory|DefaultCPUAllocator|out of memory|ALLOC_FAILED|bad_alloc|"
    "could not create a memory object",
    re.IGNORECASE,
)
"""What torch says of memory that it does not get."""
PRIMITIVE = re.compile(r"could not (create|execute) a primitive")
"""What oneDNN says, without a reason: it got no memory for its program, or none for its work."""
WORKER = re.compile(r"DataLoader worker \(pid\(?s?\)? ?([\d, ]+)\)")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that there is no memory.

    Example:
        >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
        True
        >>> is_out_of_memory(RuntimeError("could not create a primitive"))
        True
    """
    if isinstance(error, MemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    return any(pattern.search(str(error)) for pattern in (ALLOCATION, PRIMITIVE))


def is_killed_worker(error: BaseException) -> bool:
    """Return whether an error says that a process of a data loader was killed.

    Example:
        >>> is_killed_worker(RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."))
        True
    """
    return WORKER.match(str(error)) is not None


def halved_longest(sides: Sequence[int]) -> list[int] | None:
    """Return sides of which the longest is halved, as a multiple of :data:`MIN_SIDE`.

    Returns:
        None: it would be shorter than that.

    Example:
        >>> halved_longest([96, 224]), halved_longest([48, 60])
        ([96, 96], None)
    """
    halved = list(sides)
    longest = halved.index(max(halved))
    if halved[longest] < 2 * MIN_SIDE:
        return None
    halved[longest] = halved[longest] // 2 // MIN_SIDE * MIN_SIDE
    return halved


def step_line(batch_size: int, patch: Sequence[int]) -> str:
    """Return the line for a step of training that does not fit into memory.

    Example:
        >>> step_line(5, [192, 192])
        'out of memory in a step: lower batch_size 5 -> 2, or patch [192, 192] -> [96, 192]'
        >>> step_line(1, [32, 32])
        'out of memory in a step of 1 patch of [32, 32]: train a network of fewer features'
    """
    smaller = [f"batch_size {batch_size} -> {batch_size // 2}"] if batch_size > 1 else []
    if halved := halved_longest(patch):
        smaller.append(f"patch {list(patch)} -> {halved}")
    if smaller:
        return f"out of memory in a step: lower {', or '.join(smaller)}"
    return f"out of memory in a step of 1 patch of {list(patch)}: train a network of fewer features"


def memory_line(error: BaseException) -> str | None:
    """Return the line for an error of want of memory, or None.

    Example:
        >>> memory_line(RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."))[:46]
        'a worker of the data loader was killed (7), mo'
        >>> memory_line(RuntimeError("could not create a primitive"))[:53]
        'out of memory (oneDNN: could not create a primitive);'
    """
    if is_out_of_memory(error):
        hidden = PRIMITIVE.search(str(error))
        return (
            f"out of memory{f' (oneDNN: {hidden[0]})' if hidden else ''}; lower --batch_size or "
            "the sides of --patch in training, those of --window elsewhere"
        )
    if match := WORKER.match(str(error)):
        return (
            f"a worker of the data loader was killed ({match[1].strip()}), most often since memory "
            "ran out; lower num_workers"
        )
    return None
