import os
import signal
import subprocess
import sys

import pytest

from pipeline.children import PARENT, end_with_parent

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="prctl is of Linux")

CHILD = """
import signal, sys
from pipeline.children import end_with_parent
end_with_parent()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
signal.alarm(60)  # a run that nobody ends ends without its records
try:
    print("trains", flush=True)
    signal.pause()
finally:
    print("ended its records", flush=True)
"""
"""A run: it ends its records when it is terminated."""

COMMAND = """
import sys
from pipeline.children import run_child
from pipeline.errors import exit_when_terminated
exit_when_terminated()
run_child([sys.executable, "-c", sys.argv[1]], {})
"""
"""A command that starts a run and waits for it."""


def test_a_run_ends_its_records_when_its_command_is_killed():
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, CHILD], stdout=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout.readline() == "trains\n"
        command.kill()
        # the run holds the other end of the pipe: reading ends when it has ended
        assert command.stdout.read() == "ended its records\n"


def test_a_run_whose_command_has_ended_does_not_begin():
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        capture_output=True,
        text=True,
        check=True,
    )
    environment = {**os.environ, PARENT: ended.stdout.strip()}
    run = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, env=environment, check=False
    )
    assert (run.returncode, run.stdout) == (143, "")


def test_a_run_of_a_person_waits_for_nobody(monkeypatch):
    monkeypatch.delenv(PARENT, raising=False)
    end_with_parent()


def test_a_terminated_command_ends_its_run():
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, CHILD], stdout=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout.readline() == "trains\n"
        command.send_signal(signal.SIGTERM)
        assert command.stdout.read() == "ended its records\n"
        assert command.wait() == 143
