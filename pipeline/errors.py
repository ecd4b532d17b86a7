"""A user's error gets one line; a stack trace is for our bugs."""

import atexit
import difflib
import linecache
import os
import re
import signal
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import TracebackType

from pipeline.interruption import exit_when_terminated
from pipeline.memory_errors import memory_line
from pipeline.plain_text import plain_lines
from pipeline.tracking_errors import tracking_error_line

SOURCES = ("pipeline", "transforms")
"""The packages whose ``raise`` statements speak to the user."""

EXTRAS = {
    "highdicom": "dicom", "dicomweb_client": "dicom", "pynetdicom": "dicom",
    "onnx": "export", "onnxruntime": "export", "onnxscript": "export",
    "openvino": "fast", "nncf": "fast",
    "nvflare": "federated", "submitit": "jobs", "optuna": "search",
    "fastapi": "serve", "python_multipart": "serve", "uvicorn": "serve",
    "cryptography": "share", "cyclonedx": "share", "model_signing": "share", "safetensors": "share",
}  # fmt: skip
"""Packages that only some commands need, and the extra that brings each."""

COMPONENT = re.compile(r"Failed to instantiate component '([\w.]+)'")
"""What MONAI says of a component whose construction failed."""

TRACEBACK = "UNET_SCHOOL_TRACEBACK"
"""Environment variable: set to 1, every error shows its stack trace."""

MAX_NAMES = 5
"""Largest number of names that a message lists."""

Explain = Callable[[BaseException], str | None]


def one_line_errors() -> None:
    """Show a user's error as one line, and exit with 1.

    For the process of ``python -m monai.bundle``: in a notebook or another
    program exceptions stay what they are. A termination signal is turned into an exit, so that a
    run ends properly.
    """
    main = sys.modules["__main__"].__spec__
    installed = isinstance(sys.excepthook, partial)
    if main is not None and main.name.startswith("monai.bundle") and not installed:
        show_one_line()


def show_one_line(explain: Explain = lambda error: None) -> None:
    """Show errors of this process as one line from now on; exit properly when terminated.

    Args:
        explain: returns the line for an error that :func:`error_line` has none for.
    """
    sys.excepthook = partial(_hook, explain)
    atexit.register(_end_by_interruption)  # early, so that it is called after all others
    exit_when_terminated()


def _end_by_interruption() -> None:
    """End an interrupted process by the signal, so that a shell stops its script, too.

    Python does so by itself, but not where the interruption passed through code of C, as that of a
    backward pass: the process would end with 1, as after an error.
    """
    if isinstance(getattr(sys, "last_value", None), KeyboardInterrupt):
        sys.stdout.flush()
        sys.stderr.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)


def error_line(error: BaseException) -> str | None:
    """Return the line for a user's error, or ``None`` for what may be a bug of ours.

    A user's error is an exception that a ``raise`` in our own code states on purpose, however MONAI
    and Ignite wrapped it on its way, a failure of the disk or of the tracking store, an extra
    that is not installed, or what a library says to the arguments of a config's component.

    Example:
        >>> error_line(OSError(28, "No space left on device", "model.pt"))
        'model.pt: No space left on device'
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ModuleNotFoundError) and cause.name in EXTRAS:
            extra = EXTRAS[cause.name]
            return f'{cause.name}: not installed; pip install "unet-school[{extra}]"'
        if isinstance(cause, OSError) and cause.filename and cause.strerror:
            return _system_line(causes)
        if isinstance(cause, Exception) and _stated_by_us(cause.__traceback__):
            return str(cause)
    lines = (explain(cause) for cause in causes for explain in (memory_line, tracking_error_line))
    return next((line for line in lines if line is not None), None) or _component_line(causes)


def reason_line(error: BaseException) -> str:
    """Return the line for any error: of what may be a bug of ours, its kind and its first line.

    Example:
        >>> reason_line(KeyError("size"))
        "KeyError: 'size'"
    """
    return error_line(error) or f"{type(error).__name__}: {error}".splitlines()[0]


@contextmanager
def without_wrapping() -> Iterator[None]:
    """Raise a user's error as our code states it, without what MONAI wraps around it on its way.

    For a program that calls us; a command prints :func:`error_line`.
    """
    try:
        yield
    except Exception as error:
        for cause in _causes(error):
            if isinstance(cause, Exception) and _stated_by_us(cause.__traceback__):
                raise cause from None
        raise


def _system_line(causes: Sequence[BaseException]) -> str:
    """The line for an error of the system: the outermost, since the inner ones were met.

    ``mkdir(parents=True)`` first meets that the parent is absent, and fails on making it.
    """
    errors = [c for c in causes if isinstance(c, OSError) and c.filename and c.strerror]
    return f"{errors[-1].filename}: {errors[-1].strerror}"


def _component_line(causes: Sequence[BaseException]) -> str | None:
    """The line for an error of a library that a component of a config led to."""
    innermost = causes[0]
    if _package_of(innermost.__traceback__) in SOURCES:  # a bug of ours
        return None
    for cause in causes:
        if match := COMPONENT.match(str(cause)):
            message = " ".join(str(innermost).split()) or type(innermost).__name__
            return f"{match[1]}: {message}; {TRACEBACK}=1 shows the stack trace"
    return None


def nearest(key: str, candidates: Collection[str]) -> str:
    """Return the end of a message that names the nearest of some keys, or lists them all."""
    others = [candidate for candidate in candidates if candidate != key]
    close = difflib.get_close_matches(key, others, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; expected one of {', '.join(o for o in others if not o.startswith('_'))}"


def few(names: Sequence[str], most: int = MAX_NAMES) -> str:
    """Return the first of many names, for a message.

    Example:
        >>> few(["a", "b", "c"], most=2)
        'a, b, …'
    """
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def wants_traceback() -> bool:
    """Tell whether the environment asks for stack traces."""
    return os.environ.get(TRACEBACK) == "1"


def _hook(
    explain: Explain,
    kind: type[BaseException],
    error: BaseException,
    trace: TracebackType | None,
) -> None:
    line = None if wants_traceback() else error_line(error) or explain(error)
    if isinstance(error, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    elif line is not None:
        print(f"error: {plain_lines(line)}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the innermost cause first."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        hidden = error.__suppress_context__
        error = error.__cause__ or (None if hidden else error.__context__)
    return reversed(chain)


def _stated_by_us(trace: TracebackType | None) -> bool:
    last = _last(trace)
    if last is None or _package_of(trace) not in SOURCES:
        return False
    line = linecache.getline(last.tb_frame.f_code.co_filename, last.tb_lineno)
    return line.strip().startswith("raise ")


def _package_of(trace: TracebackType | None) -> str:
    """The package whose code raised."""
    last = _last(trace)
    name = last.tb_frame.f_globals.get("__name__", "") if last else ""
    return str(name).partition(".")[0]


def _last(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace
