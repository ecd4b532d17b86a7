"""A run that a command started ends with that command, even when the command is killed."""

import ctypes
import os
import signal
import sys

PARENT = "UNET_SCHOOL_PARENT"
"""Environment variable: the process that started this one and waits for it."""
PR_SET_PDEATHSIG = 1
"""Of Linux's ``prctl``: the signal that a process gets when its parent ends."""


def end_with_parent() -> None:
    """Be terminated when the process that :data:`PARENT` names ends; at once if it has ended.

    On Linux. Elsewhere an orphaned run goes on, and holds the claim on its folder.

    Raises:
        SystemExit: the parent has ended.
    """
    parent = os.environ.get(PARENT)
    if parent is None or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):  # it ended before the signal was asked for
        raise SystemExit(143)
