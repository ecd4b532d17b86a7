"""The imports that take most of the time of a start: fewer, and without a search for garbage."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from pipeline.compiler_stand_ins import COMPILER, COMPILER_STAND_INS
from pipeline.deferred import deferring

MONAI = "monai.bundle"


def import_monai() -> None:
    """Import MONAI for a command, without the packages that it can use and the command does not.

    For a process of ours; a program that calls us imports MONAI as it is.
    """
    if MONAI not in sys.modules:
        with no_garbage(), deferring(stand_ins={COMPILER: COMPILER_STAND_INS}):
            import_module(COMPILER)
            import_module(MONAI)


@contextmanager
def no_garbage() -> Iterator[None]:
    """Search for no garbage while modules are imported, and never among what they made.

    PyTorch, MONAI and MLflow make a million objects that stay, and Python searches all of them
    again and again as they grow in number.

    Example:
        >>> with no_garbage():
        ...     gc.isenabled()
        False
        >>> gc.isenabled()
        True
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
