import errno
import json

import pytest

from pipeline.files import atomic, fill_folder, sha256, write_json


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
