import errno
import json
import resource
import shutil
import tempfile
from types import SimpleNamespace

import pytest

from pipeline.errors import error_line
from pipeline.files import (
    atomic,
    check_room,
    check_writable,
    fill_folder,
    sha256,
    shown,
    write_json,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "model.json"
    write_json(target, {"old": 1})

    def disk_full():
        with atomic(target) as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        disk_full()
    assert json.loads(target.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [target]


def test_the_temporary_name_keeps_the_suffixes(tmp_path):
    with atomic(tmp_path / "volume.nii.gz") as temporary:
        assert temporary.name.endswith(".nii.gz")
        temporary.write_bytes(b"x")
    assert (tmp_path / "volume.nii.gz").read_bytes() == b"x"


def test_an_interrupted_folder_is_not_there(tmp_path):
    def interrupted(folder):
        (folder / "first.png").write_bytes(b"x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill_folder(tmp_path / "cohort", interrupted)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_content_is_refused(tmp_path):
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(FileExistsError, match="not empty"):
        fill_folder(tmp_path, lambda folder: None)
    assert (tmp_path / "precious.txt").exists()


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "cohort").mkdir()
    fill_folder(tmp_path / "cohort", lambda folder: (folder / "a").touch())
    assert [p.name for p in (tmp_path / "cohort").iterdir()] == ["a"]


def test_sha256_of_the_empty_file(tmp_path):
    (tmp_path / "empty").touch()
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert sha256(tmp_path / "empty") == digest


def test_a_folder_is_tried_and_not_made(tmp_path):
    check_writable(tmp_path / "models" / "run", "--models_dir")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_a_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot be written") as error:
        check_writable(tmp_path / "file" / "models", "--models_dir")
    assert error_line(error.value) == (
        f"{tmp_path / 'file' / 'models'}: cannot be written (Not a directory); make it writable, "
        "or give another --models_dir"
    )


def test_a_folder_that_takes_no_byte(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))  # Python ignores the signal
    try:
        with pytest.raises(OSError, match=r"cannot be written \(File too large\)"):
            check_writable(tmp_path, "--models_dir")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_read_only_folder(tmp_path, monkeypatch):
    def read_only(**_arguments):
        raise OSError(errno.EROFS, "Read-only file system", str(tmp_path))

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)  # root may write everywhere
    with pytest.raises(OSError, match=r"cannot be written \(Read-only file system\); make"):
        check_writable(tmp_path, "--models_dir")


def test_too_little_room_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=2 * 10**9))
    check_room(tmp_path / "run", 2 * 10**9, "three states", "--models_dir")
    with pytest.raises(ValueError, match="found room") as error:
        check_room(tmp_path / "run", 3 * 10**9, "three states", "--models_dir")
    assert str(error.value) == (
        f"{tmp_path / 'run'}: found room for 2.00 GB, expected 3.00 GB for three states; make "
        "room, or give another --models_dir"
    )


def test_a_path_is_shown_on_one_line(tmp_path):
    assert shown(tmp_path / "a\x1b[2J\nb") == f"{tmp_path}/a\\x1b[2J\\nb"
