"""Runs the benchmarks, and puts their tables into docs/benchmarks.md.

In the page each has a place for its table: a comment ``<!-- NAME OPTIONS -->``, where NAME is a
program of this folder, up to ``<!-- end -->``. The line above the table says with what it was
measured. A benchmark that fails ends this one; the tables before it are in the page::

    python benchmarks/write_page.py [--only engines roofline]
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from pipeline.progress import count
from pipeline.provenance import git_commit, hardware

BENCHMARKS = Path(__file__).parent
PAGE = BENCHMARKS.parent / "docs" / "benchmarks.md"
PLACE = re.compile(r"<!-- (?P<command>(?!end )[^\n]+) -->\n(?P<table>.*?)<!-- end -->\n", re.DOTALL)
PACKAGES = ("torch", "monai", "openvino", "onnxruntime")


class Place(NamedTuple):
    """A place in the page, for the table of one benchmark."""

    command: str

    @property
    def name(self) -> str:
        """Program that prints the table."""
        return self.command.split()[0]


def places(page: str) -> Iterator[Place]:
    """Yield the places of a page, in its order.

    Example:
        >>> text = "# Page\\n<!-- cache --cases 3 -->\\nold\\n<!-- end -->\\n"
        >>> [place.name for place in places(text)]
        ['cache']
    """
    for match in PLACE.finditer(page):
        yield Place(match["command"])


def filled(page: str, place: Place, table: str) -> str:
    """Return a page with another table in one place.

    Example:
        >>> text = "<!-- cache --cases 3 -->\\nold\\n<!-- end -->\\n"
        >>> filled(text, Place("cache --cases 3"), "| new |\\n")
        '<!-- cache --cases 3 -->\\n| new |\\n<!-- end -->\\n'
    """

    def own(match: re.Match[str]) -> str:
        kept = match["table"] if match["command"] != place.command else table
        return f"<!-- {match['command']} -->\n{kept}<!-- end -->\n"

    return PLACE.sub(own, page)


def conditions(commit: str) -> str:
    """Return what a table depends on: processor, threads, other work, packages and commit."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    threads = count(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)), "thread")
    load = f"load {os.getloadavg()[0]:.1f} at the start"
    return f"{processor()}; {threads}; {load}; {packages}; commit {commit[:7]}"


def processor() -> str:
    """Return the hardware, the name of the processor, and what it computes bfloat16 with."""
    path = Path("/proc/cpuinfo")
    text = path.read_text("utf-8") if path.is_file() else ""
    names = re.findall(r"^model name\s*: (.*)$", text, re.MULTILINE)[:1]
    flags = sorted({"amx_bf16", "avx512_bf16"} & set(text.split()))
    return ", ".join([hardware(), *names, *flags])


def measure(place: Place) -> str:
    """Run a benchmark, show what it prints, and return its table.

    Raises:
        SystemExit: it failed.
    """
    name, *options = shlex.split(place.command)
    command = [sys.executable, "-W", "ignore", str(BENCHMARKS / f"{name}.py"), *options]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines += [line] if line.startswith("|") else []  # a training prints, too
    if process.returncode:
        raise SystemExit(f"{place.command}: ended with {process.returncode}; its error is above")
    return "".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", help="names of benchmarks (default: all of the page)")
    options = parser.parse_args()
    commit, found = git_commit(PAGE.parent), list(places(PAGE.read_text("utf-8")))
    unknown = set(options.only or ()) - {place.name for place in found}
    if unknown:
        names = ", ".join(sorted({place.name for place in found}))
        parser.error(f"--only: found {', '.join(sorted(unknown))}, expected some of {names}")
    for place in found:
        if options.only and place.name not in options.only:
            continue
        stated, began = conditions(commit), time.perf_counter()
        print(f"{place.command}: {stated}", flush=True)
        table = f"{stated}.\n\n{measure(place)}"
        PAGE.write_text(filled(PAGE.read_text("utf-8"), place, table), "utf-8")
        print(f"{place.command}: took {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
