"""Threads that leave the processor to other programs while they wait for each other."""

import os

POLICY = "OMP_WAIT_POLICY"
WAIT_VARIABLES = (POLICY, "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Environment variables of OpenMP, GNU's and Intel's, that say how a thread waits."""


def share_processor() -> None:
    """Let the threads of OpenMP sleep while they wait, unless the user has said how they wait.

    By default they ask again and again whether they may go on. Where more threads compute than
    there are cores, that keeps the core from the thread that they wait for. Call it before PyTorch
    is imported, which reads the variable; the processes that this one starts inherit it.

    Example:
        >>> share_processor()
        >>> any(name in os.environ for name in WAIT_VARIABLES)
        True
    """
    if not any(name in os.environ for name in WAIT_VARIABLES):
        os.environ[POLICY] = "PASSIVE"
