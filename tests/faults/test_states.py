"""A state of a training that was cut or flipped is not trained on."""

import signal

import pytest

from tests.faults.launcher import Fault
from tests.faults.test_killed import STEP
from tests.faults.trainings import assert_all_kept

LENGTHS = {"0 bytes": 0, "1 byte": 1, "1000 bytes": 1000, "half": 0.5, "all but one": -1}


def cut(content, length):
    return content[: int(length * len(content)) if isinstance(length, float) else length]


def flipped(content, share, count=4):
    place = min(int(share * len(content)), len(content) - count)
    middle = bytes(byte ^ 0xFF for byte in content[place : place + count])
    return content[:place] + middle + content[place + count :]


DAMAGES = {name: (cut, length) for name, length in LENGTHS.items()}
DAMAGES |= {f"flipped at {tenth} tenths": (flipped, tenth / 10) for tenth in range(11)}
QUICK = ("0 bytes", "flipped at 5 tenths")


@pytest.mark.parametrize(
    ("damage", "argument"),
    [
        pytest.param(*row, id=name, marks=() if name in QUICK else pytest.mark.slow)
        for name, row in DAMAGES.items()
    ],
)
def test_a_damaged_state(site, whole, damage, argument):
    """The last state is cut or flipped: the one before is used, and a line says so."""
    site.train(faults=[Fault(STEP, call=5)]).ends_with(-signal.SIGKILL)
    content = site.state.read_bytes()
    site.state.write_bytes(damage(content, argument))
    outcome = site.resume().ends_with(0)
    assert "previous.pt" in outcome.text
    assert "Traceback" not in outcome.text
    assert_all_kept(site, whole)


@pytest.mark.slow
def test_both_states_are_damaged(site):
    """Neither state can be used: one line that names them, and no unsafe advice."""
    site.train(faults=[Fault(STEP, call=5)]).ends_with(-signal.SIGKILL)
    for name in ("last.pt", "previous.pt"):
        path = site.folder / name
        path.write_bytes(flipped(path.read_bytes(), 0.5))
    error = site.resume().error
    assert "last.pt" in error
    assert "weights_only" not in error


@pytest.mark.slow
def test_another_file_is_no_state(site):
    """A model instead of a state: one line."""
    site.train().ends_with(0)
    assert "model.pt" in site.resume(run=site.models / "model.pt").error
    assert "gone" in site.resume(run=site.models / "gone").error
