import argparse
import errno
import os
import sqlite3
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.errors import error_line
from pipeline.files import write_text


def caught(function):
    with pytest.raises(Exception) as error:  # noqa: PT011
        function()
    return error.value


def wrapped(error):
    def fail():
        try:
            raise error
        except type(error) as cause:
            raise RuntimeError("Failed to evaluate ConfigExpression") from cause

    return caught(fail)


def test_a_full_disk_under_the_tracking_database():
    line = error_line(wrapped(sqlite3.OperationalError("database or disk is full")))
    assert line == (
        "tracking store: no room for the tracking database; make room, or give another "
        "--tracking_dir"
    )


def test_a_failure_of_the_disk_names_the_file():
    assert error_line(wrapped(OSError(28, "No space left", "m.pt"))) == "m.pt: No space left"


def test_the_reason_is_that_of_the_system_and_not_that_of_what_was_met_before(
    monkeypatch, tmp_path
):
    mkdir = os.mkdir

    def read_only(path, mode=0o777):
        if str(path).endswith("inner"):
            mkdir(path, mode)  # its parent is absent
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(os, "mkdir", read_only)
    place = tmp_path / "outer" / "inner"
    error = caught(lambda: place.mkdir(parents=True))
    assert isinstance(error.__context__, FileNotFoundError)
    assert error_line(error) == f"{tmp_path / 'outer'}: Read-only file system"
    assert error_line(caught(lambda: write_text(place / "note.txt", "x"))) == error_line(error)


def test_a_file_in_the_place_of_a_folder_is_named_so(tmp_path):
    (tmp_path / "file").touch()
    line = error_line(caught(lambda: write_text(tmp_path / "file" / "a" / "b" / "note.txt", "x")))
    assert line.endswith(": Not a directory")


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="a system without /sys")
def test_a_place_of_the_system_cannot_be_written():
    line = error_line(caught(lambda: write_text(Path("/sys/kernel/a/b/note.txt"), "x")))
    assert line.split(": ")[1] in (
        "Operation not permitted",
        "Permission denied",
        "Read-only file system",
    )


def test_what_others_raise_is_no_mistake_of_the_user():
    assert error_line(wrapped(ValueError("a bug"))) is None
    assert error_line(caught(lambda: int("x"))) is None


def test_a_missing_extra_names_the_call_that_installs_it():
    line = error_line(wrapped(ModuleNotFoundError("No module", name="onnxruntime")))
    assert line == 'onnxruntime: not installed; pip install "unet-school[export]"'
    assert error_line(wrapped(ModuleNotFoundError("No module", name="pipeline.nothing"))) is None


def test_a_line_of_an_error_cannot_control_the_terminal(capsys, monkeypatch):
    def refuse(options):
        raise ValueError("image \x1b[2J\u202e: unknown")

    parser = argparse.ArgumentParser()
    parser.set_defaults(command=refuse)
    monkeypatch.setattr(cli, "_parser", lambda: parser)
    monkeypatch.setattr(cli, "error_line", str)
    assert cli.main([]) == 1
    assert capsys.readouterr().err == "error: image \\x1b[2J\\u202e: unknown\n"
