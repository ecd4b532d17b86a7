"""What goes wrong with another machine: what is tried again, and what is not."""

import errno
import time
from collections.abc import Callable
from typing import TypeVar

from pipeline.pacs.settings import Retries

Result = TypeVar("Result")

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says of a full disk, which somebody empties."""


class NetworkError(OSError):
    """A fault that may pass: no connection, no answer in time, a server that restarts."""


class PeerError(ValueError):
    """A peer refuses what is asked, and will refuse it again."""


def may_pass(error: BaseException) -> bool:
    """Return whether the same may go well later.

    Example:
        >>> may_pass(NetworkError("archive: no answer")), may_pass(PeerError("archive: no study"))
        (True, False)
    """
    if isinstance(error, NetworkError):
        return True
    if not isinstance(error, OSError):
        return False
    reason = error if error.errno is not None else error.__context__  # as a writer words it
    return isinstance(reason, OSError) and reason.errno in FULL


def pause_seconds(retries: Retries, attempt: int) -> float:
    """Return the pause after an attempt, counted from 1; each is twice as long as the one before.

    Example:
        >>> retries = Retries(first_seconds=2, longest_seconds=10)
        >>> [pause_seconds(retries, attempt) for attempt in (1, 2, 3, 4)]
        [2.0, 4.0, 8.0, 10.0]
    """
    doubled = retries.first_seconds * 2.0 ** min(attempt - 1, 64)
    return min(doubled, float(retries.longest_seconds))


def retry(
    action: Callable[[], Result],
    retries: Retries,
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Result:
    """Do something again after a fault that may pass, with growing pauses.

    Args:
        action: that is done; it goes on where it was interrupted.
        retries: how often, and the pauses.
        say: is given a line before each pause.
        sleep: waits for some seconds.

    Raises:
        NetworkError: the last of the faults.
        PeerError: at once.

    Example:
        >>> answers = iter([NetworkError("archive: no answer"), None])
        >>> def ask():
        ...     if (answer := next(answers)) is not None:
        ...         raise answer
        ...     return "yes"
        >>> retry(ask, Retries(first_seconds=2), print, sleep=lambda seconds: None)
        archive: no answer; tried again in 2 s
        'yes'
    """
    for attempt in range(1, retries.attempts):
        try:
            return action()
        except OSError as error:
            if not may_pass(error):
                raise
            seconds = pause_seconds(retries, attempt)
            say(f"{error}; tried again in {seconds:g} s")
            sleep(seconds)
    return action()
