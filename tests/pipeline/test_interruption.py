import os
import signal
import subprocess
import sys

import pytest

from tests.conftest import ROOT

ENDING = """
import os, signal, time
from pipeline.interruption import exit_when_terminated, uninterrupted
exit_when_terminated()
try:
    os.kill(os.getpid(), {first})
    time.sleep(60)
except BaseException as error:
    print(type(error).__name__, getattr(error, "code", ""))
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGINT)
    with uninterrupted():
        os.kill(os.getpid(), signal.SIGTERM)
    print("ended")
"""


def heed_interruptions():
    """A shell that starts the tests in the background has their processes ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run(code, **options):
    options = {"preexec_fn": heed_interruptions, **options}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60,
        check=False, **options,
    )  # fmt: skip


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
@pytest.mark.parametrize(
    ("first", "raised"),
    [("SIGINT", "KeyboardInterrupt "), ("SIGTERM", "SystemExit 143"), ("SIGHUP", "SystemExit 129")],
)
def test_the_first_signal_ends_and_further_ones_do_not_disturb_it(first, raised):
    result = run(ENDING.format(first=f"signal.{first}"))
    assert result.stdout.splitlines() == [raised, "ended"], result.stderr
    assert result.returncode == 0


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_a_signal_that_is_ignored_stays_ignored():
    code = (
        "import os, signal\nfrom pipeline.interruption import exit_when_terminated\n"
        "exit_when_terminated()\nos.kill(os.getpid(), signal.SIGHUP)\nprint('goes on')"
    )
    ignore = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}  # as nohup does
    assert run(code, **ignore).stdout == "goes on\n"


def test_a_signal_long_after_another_ends_again():
    code = (
        "import os, signal\nfrom pipeline import interruption\n"
        "interruption.REPEAT_SECONDS = 0\ninterruption.exit_when_terminated()\n"
        "for _ in range(2):\n"
        "    try:\n        os.kill(os.getpid(), signal.SIGINT)\n"
        "    except KeyboardInterrupt:\n        print('interrupted')"
    )
    assert run(code, env={**os.environ}).stdout.splitlines() == ["interrupted"] * 2


DELAYED = """
import os, signal, time
from pipeline import interruption
interruption.exit_when_terminated()
try:
    with interruption.delayed():
        with interruption.delayed():
            os.kill(os.getpid(), {first})
        print("whole")
    print("not reached")
except BaseException as error:
    print(type(error).__name__, getattr(error, "code", ""))
interruption.REPEAT_SECONDS = 0
try:
    with interruption.delayed():
        os.kill(os.getpid(), signal.SIGINT)
        print("hangs")
        os.kill(os.getpid(), signal.SIGINT)
        print("not reached")
except KeyboardInterrupt:
    print("at once")
"""


@pytest.mark.parametrize(
    ("first", "raised"), [("SIGINT", "KeyboardInterrupt "), ("SIGTERM", "SystemExit 143")]
)
def test_a_signal_waits_for_a_block_that_is_not_cut_in_two_but_once(first, raised):
    result = run(DELAYED.format(first=f"signal.{first}"))
    assert result.stdout.splitlines() == ["whole", raised, "hangs", "at once"], result.stderr
