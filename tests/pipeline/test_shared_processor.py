import os
import subprocess
import sys

import pytest

from pipeline.shared_processor import POLICY, WAIT_VARIABLES, share_processor

NO_WAITING_AWAKE = "GOMP_SPINCOUNT = '0'"
"""What GNU's OpenMP prints of itself where its threads sleep at once."""


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch):
    for name in WAIT_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_threads_sleep_while_they_wait(monkeypatch):
    monkeypatch.setenv(POLICY, "")  # so that it is restored
    monkeypatch.delenv(POLICY)
    share_processor()
    assert os.environ[POLICY] == "PASSIVE"


@pytest.mark.parametrize("name", WAIT_VARIABLES)
def test_what_the_user_has_set_stays(monkeypatch, name):
    monkeypatch.setenv(name, "7")
    share_processor()
    assert {one: os.environ.get(one) for one in WAIT_VARIABLES} == {
        one: "7" if one == name else None for one in WAIT_VARIABLES
    }


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="libgomp is of Linux's wheels")
@pytest.mark.parametrize("command", ["from pipeline.cli import main; main(['bundles'])", ""])
def test_a_command_sets_it_before_pytorch_reads_it(command):
    code = f"{command}\nimport torch; torch.set_num_threads(2)"
    environment = {**os.environ, "OMP_DISPLAY_ENV": "verbose"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert "GOMP_SPINCOUNT" in done.stderr
    assert (NO_WAITING_AWAKE in done.stderr) == bool(command)
