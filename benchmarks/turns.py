"""Ways of doing the same thing that take turns, each in a process of its own."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence


def median_seconds(call: Callable[[], None], times: int) -> float:
    """Return the median seconds of a call in this process; two further calls warm up."""
    seconds = []
    for _ in range(times + 2):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[2:])


def in_child(*command: object) -> float:
    """Return the number that a Python process prints last."""
    done = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, check=True
    )
    return float(done.stdout.splitlines()[-1])


def take_turns(
    title: str, ways: Sequence[str], seconds_of: Callable[[str], float], rounds: int
) -> None:
    """Measure each way once a round, and print its seconds and its speed against the first way."""
    times = [{way: seconds_of(way) for way in ways} for _ in range(rounds)]
    for way in ways:
        ratios = [of_round[ways[0]] / of_round[way] for of_round in times]
        seconds = statistics.median(of_round[way] for of_round in times)
        print(
            f"{title:15} {way:24} {1000 * seconds:6.0f} ms  {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )
