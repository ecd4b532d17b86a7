"""How far long work is: a bar with the expected end on a terminal, a line now and then elsewhere.

Both go to standard error, so that what a command prints as its result stays alone.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TypeVar

from tqdm import tqdm

LINE_SECONDS = 10.0
"""Time between two lines of work whose output is no terminal."""

Item = TypeVar("Item")


class Work:
    """Work of a known number of steps, as a context.

    Args:
        name: what is done: ``inspecting``, ``segmenting``, ….
        total: number of steps.
        unit: of a step, in the singular.
        clock: seconds of a clock that only goes forward.

    Example:
        >>> with Work("inspecting", 3, "case") as work:
        ...     for _ in range(3):
        ...         work.advance()
    """

    def __init__(
        self, name: str, total: int, unit: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name, self.total, self.unit, self.clock = name, total, unit, clock
        self.done, self.began = 0, clock()
        self.said = self.began
        self.lock = threading.Lock()
        self.bar = tqdm(desc=name, total=total, unit=unit, leave=False, disable=None)

    def advance(self, steps: int = 1) -> None:
        """Say that steps are done; by any thread."""
        with self.lock:
            self.done += steps
            self.bar.update(steps)
            now = self.clock()
            if self.bar.disable and now - self.said >= LINE_SECONDS and self.done < self.total:
                self.said = now
                print(self._line(now), file=sys.stderr, flush=True)

    def __enter__(self) -> "Work":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.close()

    def _line(self, now: float) -> str:
        left = (now - self.began) / self.done * (self.total - self.done)
        end = time.strftime("%H:%M:%S", time.localtime(time.time() + left))
        return f"{self.name}: {self.done} of {count(self.total, self.unit)}, ends about {end}"


def track(items: Iterable[Item], name: str, total: int, unit: str) -> Iterator[Item]:
    """Yield items, and show how many are done.

    Example:
        >>> list(track("ab", "reading", 2, "letter"))
        ['a', 'b']
    """
    with Work(name, total, unit) as work:
        for item in items:
            yield item
            work.advance()


def count(number: int, unit: str) -> str:
    """Return a number of things.

    Example:
        >>> count(1, "case"), count(30, "case")
        ('1 case', '30 cases')
    """
    return f"{number} {unit}" + ("" if number == 1 else "s")


def flush_lines() -> None:
    """Write every line when it ends, also to a file or a pipe."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not where a test or a notebook has replaced it
            stream.reconfigure(line_buffering=True)
