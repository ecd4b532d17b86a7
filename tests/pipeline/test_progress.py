"""Progress of long work where the output is no terminal."""

import io
import re
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.progress import LINE_SECONDS, Work, flush_lines, track


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_a_line_now_and_then_says_how_far_it_is(capsys):
    clock = Clock()
    with Work("inspecting", 100, "case", clock) as work:
        for _ in range(100):
            clock.now += 1.0
            work.advance()
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert printed.out == ""
    assert len(lines) == 100 / LINE_SECONDS - 1  # the end is said by what follows
    assert re.fullmatch(r"inspecting: 10 of 100 cases, ends about \d\d:\d\d:\d\d", lines[0])
    assert lines[-1].startswith("inspecting: 90 of 100 cases")
    assert "\r" not in printed.err


def test_short_work_says_nothing(capsys):
    assert list(track(range(5), "reading", 5, "file")) == list(range(5))
    assert capsys.readouterr() == ("", "")


def test_threads_advance_one_work(capsys):
    with Work("inspecting", 200, "case") as work, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: work.advance(), range(200)))
    assert work.done == 200


def test_an_error_in_the_work_is_passed_on():
    with pytest.raises(ValueError, match="bad"), Work("inspecting", 2, "case"):
        raise ValueError("bad")


def test_lines_are_flushed_when_they_end(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written))
    print("before")
    assert written.getvalue() == b""
    flush_lines()
    print("after")
    assert written.getvalue().endswith(b"after\n")
