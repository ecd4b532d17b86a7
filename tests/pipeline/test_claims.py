import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.claims import claim, is_claimed, lock_path

HOLD = """
import sys
from pathlib import Path
from pathlib import Path
from pipeline.claims import claim
with claim(Path(sys.argv[1])):
    print("claimed", flush=True)
    sys.stdin.read()
"""
"""Claims a folder until its standard input is closed."""

FORK = """
import os, sys
from pathlib import Path
from pipeline.claims import claim
held = claim(Path(sys.argv[1]))
held.acquire()
if not os.fork():
    print("forked", flush=True)
sys.stdin.read()
"""
"""Claims a folder and forks a worker, which says so; both end when their input is closed."""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "models" / "run"


@pytest.fixture
def holder(folder):
    """Another process that holds the folder."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], **pipes) as process:
        assert process.stdout.readline() == "claimed\n"
        yield process
        process.kill()


def test_a_refusal_names_process_host_and_since_when(folder, holder):
    with pytest.raises(ValueError, match="is being written by") as error, claim(folder):
        pass
    message = str(error.value)
    assert message.startswith(f"{folder}: is being written by process {holder.pid} on ")
    assert f"on {socket.gethostname()} since 20" in message
    assert message.endswith("wait for it to end, or write to another folder")
    assert is_claimed(folder)


def test_a_claim_imports_no_pytorch():
    code = "import sys, pipeline.claims; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_refused_claim_leaves_that_of_the_holder(folder, holder):
    refused = claim(folder)
    with pytest.raises(ValueError, match="is being written"):
        refused.acquire()
    refused.release()
    assert is_claimed(folder)
    assert json.loads((folder.parent / ".run.lock.json").read_text())["process"] == holder.pid


def test_a_process_that_is_killed_holds_nothing(folder, holder):
    holder.kill()
    holder.wait()
    assert lock_path(folder).is_file()
    assert json.loads((folder.parent / ".run.lock.json").read_text())["process"] == holder.pid
    with claim(folder):
        owner = json.loads((folder.parent / ".run.lock.json").read_text())
        assert owner["process"] == os.getpid()


def test_the_lock_of_a_killed_process_is_removed_when_it_is_asked_for(folder, holder):
    holder.kill()
    holder.wait()
    assert not is_claimed(folder)
    assert list(folder.parent.iterdir()) == []


def test_a_released_claim_leaves_no_file(folder):
    with claim(folder):
        assert sorted(path.name for path in folder.parent.iterdir()) == [
            ".run.lock",
            ".run.lock.json",
        ]
    assert list(folder.parent.iterdir()) == []


def test_one_process_claims_a_folder_once(folder):
    with claim(folder), pytest.raises(ValueError, match=f"process {os.getpid()} on"):
        claim(folder).acquire()
    assert not is_claimed(folder)


def test_two_names_of_one_folder_are_one_claim(folder, monkeypatch):
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    with claim(folder), pytest.raises(ValueError, match="is being written"):
        claim(Path()).acquire()


def test_who_waits_goes_on_when_the_holder_ends(folder, holder):
    holder.stdin.close()  # it releases the folder
    with claim(folder, wait_seconds=60):
        assert is_claimed(folder)


def test_a_forked_worker_keeps_no_claim_alive(folder):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", FORK, str(folder)], **pipes) as process:
        assert process.stdout.readline() == "forked\n"
        assert is_claimed(folder)
        process.kill()
        process.wait()
        assert not is_claimed(folder)  # although the worker lives until its input is closed
        with claim(folder):
            pass


def test_a_folder_whose_parent_is_not_writable_is_locked_by_a_file_of_its_own(folder, monkeypatch):
    folder.mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with claim(folder):
        assert (folder / ".lock").is_file()
        assert is_claimed(folder)
    assert list(folder.iterdir()) == []


def test_a_place_where_no_lock_can_be_is_named_with_the_systems_reason(tmp_path):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "run"
    with pytest.raises(OSError, match="cannot be written") as error:
        claim(folder).acquire()
    assert str(error.value) == (
        f"{folder}: cannot be written (File exists); make it writable, or write to another folder"
    )


def test_a_claim_that_cannot_say_who_holds_it_is_given_up(folder, monkeypatch):
    monkeypatch.setattr(Path, "write_text", _without_room)
    with pytest.raises(OSError, match="No space left on device"):
        claim(folder).acquire()
    assert not lock_path(folder).exists()


def _without_room(*_arguments):
    raise OSError(errno.ENOSPC, "No space left on device")
