import pytest

from pipeline.bundle.restarted import (
    RESTARTS,
    RUN_ID,
    forget_run,
    note_run,
    run_before_restart,
)
from pipeline.states import STATE


@pytest.fixture
def torchrun(monkeypatch):
    """Return a function that sets what torchrun tells its processes."""

    def torchrun(run_id, restarts):
        monkeypatch.setenv(RUN_ID, run_id)
        monkeypatch.setenv(RESTARTS, str(restarts))

    return torchrun


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "unet-0a1b2c"
    folder.mkdir()
    return folder


def test_a_restart_goes_on_with_its_own_run(torchrun, run, tmp_path):
    torchrun("first", 0)
    note_run(tmp_path, run)
    (run / STATE).touch()
    assert run_before_restart(tmp_path) is None  # it is no restart yet
    torchrun("first", 1)
    assert run_before_restart(tmp_path) == run
    torchrun("second", 1)
    assert run_before_restart(tmp_path) is None
    torchrun("first", 2)
    forget_run(tmp_path)
    assert run_before_restart(tmp_path) is None
    assert list(tmp_path.iterdir()) == [run]


def test_without_a_complete_epoch_it_begins_anew(torchrun, run, tmp_path):
    torchrun("first", 1)
    assert run_before_restart(tmp_path) is None
    note_run(tmp_path, run)
    assert run_before_restart(tmp_path) is None


def test_one_process_alone_notes_nothing(run, tmp_path, monkeypatch):
    monkeypatch.delenv(RUN_ID, raising=False)
    monkeypatch.setenv(RESTARTS, "1")
    note_run(tmp_path, run)
    forget_run(tmp_path)
    assert run_before_restart(tmp_path) is None
    assert list(tmp_path.iterdir()) == [run]
