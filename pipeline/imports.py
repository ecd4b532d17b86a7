"""Imports without a search for garbage: a quarter of the time of a start."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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
