"""States on disk: sealed, two of them, and never half of one."""

import os
import socket
import subprocess
import sys
from unittest.mock import Mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline import files
from pipeline.states import (
    DamagedStateError,
    newest_states,
    read_state,
    remove_damaged_states,
    seal,
    unseal,
    write_state,
)


def state(epoch):
    return {"network": {"w": torch.full((50,), float(epoch))}, "trainer": {"epoch": epoch}}


@pytest.fixture
def folder(tmp_path):
    """Two states, of the epochs 1 and 2."""
    for epoch in (1, 2):
        write_state(tmp_path, state(epoch))
    return tmp_path


def test_the_newest_state_and_the_one_before_it_are_kept(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["last.pt", "previous.pt"]
    assert read_state(folder / "last.pt")["trainer"] == {"epoch": 2}
    assert read_state(folder / "previous.pt")["trainer"] == {"epoch": 1}


def test_torch_reads_a_sealed_state_too(folder):
    content = torch.load(folder / "last.pt", weights_only=True)
    assert torch.equal(content["network"]["w"], state(2)["network"]["w"])


@pytest.mark.parametrize("size", [0, 1, 64, 1000, -100, -1])
def test_of_a_state_that_was_cut_off_the_one_before_is_read(folder, size, capsys):
    path = folder / "last.pt"
    content = path.read_bytes()
    path.write_bytes(content[:size])
    assert read_state(path)["trainer"] == {"epoch": 1}
    printed = capsys.readouterr().out
    assert printed == (
        f"{path}: cut off or changed, or not a last.pt; goes on from previous.pt, of epoch 1\n"
    )


@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_every_changed_byte_is_seen(place, change):
    content = bytearray(seal(b"PK" + bytes(range(256)) * 3 + b"\0\0"))
    content[int(place * len(content))] ^= change
    with pytest.raises(DamagedStateError):
        unseal(bytes(content))


def test_a_state_that_is_absent_is_replaced_by_the_one_before(folder, capsys):
    """A machine that failed between the two renamings leaves the previous state alone."""
    (folder / "last.pt").unlink()
    assert read_state(folder / "last.pt")["trainer"] == {"epoch": 1}
    assert "last.pt: absent; goes on from previous.pt" in capsys.readouterr().out


def test_two_damaged_states_are_one_line(folder):
    for name in ("last.pt", "previous.pt"):
        (folder / name).write_bytes(b"")
    with pytest.raises(ValueError, match="restore it from a copy, or begin a new") as caught:
        read_state(folder / "last.pt")
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)


def test_a_damaged_state_is_removed_and_a_whole_one_is_not(folder):
    remove_damaged_states(folder)
    assert len(list(folder.iterdir())) == 2
    (folder / "last.pt").write_bytes(b"")
    remove_damaged_states(folder)
    assert [path.name for path in folder.iterdir()] == ["previous.pt"]


def test_a_state_of_an_older_version(folder):
    torch.save(state(2), folder / "last.pt")
    (folder / "previous.pt").unlink()
    with pytest.raises(ValueError, match=r"last\.pt: of an older version, or not a last\.pt; "):
        read_state(folder / "last.pt")


def test_a_state_that_cannot_be_read_says_why(folder, monkeypatch):
    denied = PermissionError(13, "Permission denied")
    monkeypatch.setattr("pathlib.Path.read_bytes", Mock(side_effect=denied))
    with pytest.raises(ValueError, match=r"last\.pt: cannot be read \(Permission denied\); "):
        read_state(folder / "last.pt")


def test_no_state(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such state of a training"):
        read_state(tmp_path / "last.pt")


@pytest.mark.parametrize("step", [1, 2, 3])
def test_wherever_writing_stops_a_whole_state_is_there(folder, step, monkeypatch):
    """Writing takes three steps: the new file, the renaming of the old one, its own renaming."""
    steps = iter(range(1, 10))

    def stop(call):
        def counted(*arguments):
            if next(steps) == step:
                raise KeyboardInterrupt
            return call(*arguments)

        return counted

    monkeypatch.setattr("pipeline.states.sync_file", stop(files.sync_file))
    monkeypatch.setattr("pathlib.Path.replace", stop(os.replace))
    with pytest.raises(KeyboardInterrupt):
        write_state(folder, state(3))
    monkeypatch.undo()
    assert read_state(folder / "last.pt")["trainer"]["epoch"] in (2, 3)


def test_what_a_killed_process_was_writing_is_removed(tmp_path):
    code = (
        "import os, pathlib, sys; from pipeline.files import atomic\n"
        "with atomic(pathlib.Path(sys.argv[1]) / 'last.pt') as temporary:\n"
        "    temporary.write_bytes(b'half'); os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    with files.atomic(tmp_path / "mine.pt") as mine:
        mine.write_bytes(b"being written")
        other = tmp_path / mine.name.replace(files._host(), "another_host").replace(
            str(os.getpid()), "999999"
        )
        other.write_bytes(b"of another machine")
        assert len(list(tmp_path.iterdir())) == 3
        files.remove_unfinished(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {mine.name, other.name}
    assert socket.gethostname()


def test_the_newest_unfinished_states_of_a_folder_of_runs(tmp_path):
    for number, name in enumerate(("old", "done", "new")):
        write_state(tmp_path / name, state(1))
        os.utime(tmp_path / name / "last.pt", (number, number))
    (tmp_path / "done" / "finished.json").write_text("{}")
    (tmp_path / "older").mkdir()
    torch.save(state(1), tmp_path / "older" / "last.pt")
    assert newest_states(tmp_path) == [tmp_path / "old" / "last.pt", tmp_path / "new" / "last.pt"]
