"""Keeping freed memory for the tensors of the next step."""

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
"""Parameters of ``mallopt``, from glibc's ``malloc.h``."""


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, and return whether it does.

    Each step of a training frees its feature maps. The C library gives large ones back to the
    system, which fills the same memory with zeros, page by page, when the next step asks for it. In
    a virtual machine that takes as long as a convolution. The peak of the memory stays the same.
    The system has all of it back when the process ends.

    Only glibc (Linux) has these parameters; elsewhere nothing changes.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    settings = (
        (M_MMAP_MAX, 0),  # no block comes from a mapping of its own, which would end with it
        (M_TRIM_THRESHOLD, -1),  # the end of the heap is never given back
        (M_ARENA_MAX, 1),  # the backward pass, which has a thread of its own, shares the heap
    )
    taken = [library.mallopt(*setting) == 1 for setting in settings]
    return all(taken)
