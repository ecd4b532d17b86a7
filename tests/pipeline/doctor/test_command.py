import json

import pytest

from pipeline import cli
from pipeline.commands import doctor
from pipeline.doctor.check import Check


@pytest.fixture
def checks(monkeypatch):
    """The checks that the command makes; a test adds to them."""
    checks = [Check("git", "installed"), Check("bf16", "not in hardware", "slow", "use float32")]
    monkeypatch.setattr(doctor, "_checks", lambda _: checks)
    return checks


def test_what_is_slow_is_no_failure(checks, capsys):
    assert cli.main(["doctor"]) == 0
    assert capsys.readouterr().out == (
        "fine   git           installed\nslow   bf16          not in hardware\n"
        "                     use float32\n"
    )


def test_what_fails_is_an_exit_code(checks, capsys):
    checks.append(Check("memory", "0.1 GiB free", "fails", "end other programs"))
    assert cli.main(["doctor", "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert [one["level"] for one in printed] == ["fine", "slow", "fails"]


def test_a_real_call_names_each_part(tmp_path, capsys):
    places = ["--tracking", str(tmp_path / "mlruns"), "--models", str(tmp_path)]
    cli.main(["doctor", *places])
    names = {line[7:20].strip() for line in capsys.readouterr().out.splitlines()}
    assert {"version", "device", "threads", "load", "bf16", "memory", "store"} <= names
    assert not list(tmp_path.iterdir())
