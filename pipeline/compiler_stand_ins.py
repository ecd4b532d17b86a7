"""What stands for PyTorch's compiler until something is compiled.

Each optimiser of PyTorch imports its compiler, a third of the time of a start, to say which of its
functions are not to be compiled. Nothing is compiled in a training of ours, unless a user's own
network is.
"""

import functools
import sys
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.deferred import DeferredModule

COMPILER = "torch._dynamo"


def graph_break(_message: str = "") -> None:
    """Do nothing, as the compiler's own function does wherever nothing is compiled."""


def disable(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
    """Return a function that the compiler leaves alone, as soon as there is a compiler.

    Example:
        >>> disable(len)("abc")
        3
    """

    @functools.cache
    def left_alone() -> Callable[..., Any]:
        result: Callable[..., Any] = sys.modules[COMPILER].disable(function, *args, **kwargs)
        return result

    @functools.wraps(function)
    def call(*call_args: Any, **call_kwargs: Any) -> Any:
        is_absent = isinstance(sys.modules[COMPILER], DeferredModule)
        return (function if is_absent else left_alone())(*call_args, **call_kwargs)

    return call


COMPILER_STAND_INS: Mapping[str, Callable[..., Any]] = {
    "graph_break": graph_break,
    "disable": disable,
}
"""Functions that PyTorch's optimisers ask for, by name."""
