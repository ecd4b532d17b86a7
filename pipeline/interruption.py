"""Interruptions and terminations of a process: what was begun ends properly, once."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

REPEAT_SECONDS = 3.0
"""A further signal within this time is of the same interruption: a key pressed twice, or a parent
that passes on what the terminal has sent to all."""

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""Those that ask a process to end; Windows has no SIGHUP, which a closed terminal sends."""


class _Interruptions:
    """Raises the first of several signals, and none while something is brought to its end."""

    def __init__(self) -> None:
        self.shields = self.delays = 0
        self.delayed: int | None = None
        self.raised_at = -REPEAT_SECONDS

    def handle(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.shields or now - self.raised_at < REPEAT_SECONDS:
            return
        self.raised_at = now
        if self.delays and self.delayed is None:
            self.delayed = number
        else:
            self.raise_exit(number)

    def raise_exit(self, number: int) -> None:
        self.delayed = None
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)


_interruptions = _Interruptions()


def exit_when_terminated() -> None:
    """Turn a termination signal into an exit, so that what was begun ends properly.

    A signal that this process was started to ignore (``nohup``, ``&``) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():  # no other may set a handler
        return
    for name in SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interruptions.handle)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Pass over signals in a block that brings something to its end, and that is short."""
    _interruptions.shields += 1
    try:
        yield
    finally:
        _interruptions.shields -= 1


@contextmanager
def delayed() -> Iterator[None]:
    """Let a signal wait until the end of a block that must not be cut in two.

    A database that is left within a transaction stays locked. A second signal does not wait, for a
    block that hangs.
    """
    if threading.current_thread() is not threading.main_thread():  # no other gets signals
        yield
        return
    _interruptions.delays += 1
    try:
        yield
    finally:
        _interruptions.delays -= 1
        if not _interruptions.delays and _interruptions.delayed is not None:
            _interruptions.raise_exit(_interruptions.delayed)
