"""A user's mistake gets one line; a stack trace is for our bugs."""

import linecache
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType

SOURCES = ("pipeline", "transforms")
"""The packages whose ``raise`` statements speak to the user."""

EXTRAS = {
    "onnx": "export", "onnxruntime": "export", "onnxscript": "export",
    "cryptography": "share", "model_signing": "share", "safetensors": "share",
}  # fmt: skip
"""Packages that only some commands need, and the extra that brings each."""

TRACEBACK = "UNET_SCHOOL_TRACEBACK"
"""Environment variable: set to 1, every error shows its stack trace."""


def one_line_errors() -> None:
    """Show a user's mistake as one line, and exit with 1.

    For the process of ``python -m monai.bundle``: in a notebook or another
    program exceptions stay what they are. A termination signal is turned into an exit, so that a
    run ends properly.
    """
    main = sys.modules["__main__"].__spec__
    if main is not None and main.name.startswith("monai.bundle"):
        sys.excepthook = _hook
        exit_when_terminated()


def exit_when_terminated() -> None:
    """Turn a termination signal into an exit, so that what was begun ends properly."""
    if threading.current_thread() is threading.main_thread():  # no other may set a handler
        signal.signal(signal.SIGTERM, _terminated)


def error_line(error: BaseException) -> str | None:
    """Return the line for a user's mistake, or ``None`` for what may be a bug of ours.

    A mistake is an exception that a ``raise`` in our own code states on purpose, however MONAI
    and Ignite wrapped it on its way, a failure of the disk or of the tracking database, or an extra
    that is not installed.

    Example:
        >>> error_line(OSError(28, "No space left on device", "model.pt"))
        'model.pt: No space left on device'
    """
    for cause in _causes(error):
        if isinstance(cause, ModuleNotFoundError) and cause.name in EXTRAS:
            extra = EXTRAS[cause.name]
            return f'{cause.name}: not installed; pip install "unet-school[{extra}]"'
        if isinstance(cause, OSError) and cause.filename and cause.strerror:
            return f"{cause.filename}: {cause.strerror}"
        if isinstance(cause, sqlite3.OperationalError):
            return f"tracking database: {cause}; make room, or give another --tracking_dir"
        if isinstance(cause, Exception) and _stated_by_us(cause.__traceback__):
            return str(cause)
    return None


def wants_traceback() -> bool:
    """Tell whether the environment asks for stack traces."""
    return os.environ.get(TRACEBACK) == "1"


def _hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    line = None if wants_traceback() else error_line(error)
    if isinstance(error, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    elif line is not None:
        print(f"error: {line}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(143)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the innermost cause first."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        hidden = error.__suppress_context__
        error = error.__cause__ or (None if hidden else error.__context__)
    return reversed(chain)


def _stated_by_us(trace: TracebackType | None) -> bool:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    ours = trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] in SOURCES
    line = linecache.getline(trace.tb_frame.f_code.co_filename, trace.tb_lineno)
    return ours and line.strip().startswith("raise ")
