import sqlite3

import pytest

from pipeline.errors import error_line


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


def test_what_others_raise_is_no_mistake_of_the_user():
    assert error_line(wrapped(ValueError("a bug"))) is None
    assert error_line(caught(lambda: int("x"))) is None


def test_a_missing_extra_names_the_call_that_installs_it():
    line = error_line(wrapped(ModuleNotFoundError("No module", name="onnxruntime")))
    assert line == 'onnxruntime: not installed; pip install "unet-school[export]"'
    assert error_line(wrapped(ModuleNotFoundError("No module", name="pipeline.nothing"))) is None
