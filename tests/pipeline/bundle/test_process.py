import os
import signal
import sys
import threading
import time

import pytest

from pipeline.training import bundle_runs
from pipeline.bundle.process import bundle_run, check_overrides, resumed


def test_a_termination_ends_the_run_that_was_begun(tmp_path):
    ended = tmp_path / "ended"
    child = (
        "import pathlib, signal, sys, time\n"
        f"signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path({str(ended)!r}).touch(), "
        "sys.exit(1)))\n"
        f"pathlib.Path({str(tmp_path / 'begun')!r}).touch()\n"
        "time.sleep(60)\n"
    )

    def terminate_once_begun():
        while not (tmp_path / "begun").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        threading.Thread(target=terminate_once_begun, daemon=True).start()
        with pytest.raises(SystemExit):
            bundle_runs._exit_code([sys.executable, "-c", child])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.exists()


def test_the_newest_unfinished_training_is_gone_on_with(tmp_path):
    assert resumed(tmp_path) == {}
    for age, name in ((100, "old"), (10, "new")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "last.pt").touch()
        os.utime(tmp_path / name / "last.pt", (time.time() - age,) * 2)
    assert resumed(tmp_path) == {"resume": tmp_path / "new" / "last.pt"}


def test_overrides_that_cannot_be(tmp_path):
    with pytest.raises(ValueError, match="after --: found 1 words, expected a key and a value"):
        check_overrides(["--max_epochs"])
    with pytest.raises(ValueError, match="after --: --seed is decided by the command itself"):
        bundle_run("training", [tmp_path / "train.yaml"], {"seed": 0}, ["--seed", "5"])
