"""Ways of doing the same thing that take turns, each in a process of its own."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

Measure = Callable[[], float]
"""Measures once, and returns the seconds."""


class Ratio(NamedTuple):
    """A ratio of two times, taken round by round."""

    median: float
    least: float
    largest: float

    def __str__(self) -> str:
        digits = 0 if self.median >= 20 else 2
        middle, low, high = (f"{number:.{digits}f}" for number in self)
        return f"{middle} ({low} to {high})"


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Ratio:
    """Return the ratio of each round's pair: its median, its least and its largest.

    Example:
        >>> str(ratio([2.0, 3.0, 8.0], [1.0, 2.0, 2.0]))
        '2.00 (1.50 to 4.00)'
    """
    pairs = [one / other for one, other in zip(numerators, denominators, strict=True)]
    return Ratio(statistics.median(pairs), min(pairs), max(pairs))


def clock(call: Callable[[], object]) -> float:
    """Return the wall time of a call, in seconds."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def take_turns(ways: Mapping[str, Measure], rounds: int) -> dict[str, list[float]]:
    """Measure each way once a round; return the seconds of each way, round by round."""
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, measure in ways.items():
            times[way].append(measure())
    return times


@contextmanager
def workers(commands: Mapping[str, Sequence[object]]) -> Iterator[dict[str, Measure]]:
    """Start a Python process for each way, and yield what has it measure once.

    The processes wait for their turn: the imports and the warm-up of each are done once.
    """
    with ExitStack() as stack:
        processes = {}
        for way, command in commands.items():
            process = subprocess.Popen(
                [sys.executable, *map(str, command)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            _answer(process)  # it is warm before the next one starts
            processes[way] = process
        yield {way: lambda own=process: _asked(own) for way, process in processes.items()}


def work(call: Callable[[], object], repeats: int) -> None:
    """Be a process of :func:`workers`: measure the median of some calls whenever asked to."""
    for _ in range(2):
        call()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(statistics.median(clock(call) for _ in range(repeats)), flush=True)


def _asked(process: subprocess.Popen[str]) -> float:
    assert process.stdin is not None
    process.stdin.write("measure\n")
    process.stdin.flush()
    return float(_answer(process))


def _answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    answer = process.stdout.readline()
    if not answer:
        raise SystemExit(f"{process.args}: ended before its turn; its error stands above")
    return answer
