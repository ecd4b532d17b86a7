import os
import time

from pipeline.tracking.store import resumable


def test_the_newest_unfinished_training_is_resumed(tmp_path):
    assert resumable(tmp_path) == {}
    for age, name in ((100, "old"), (10, "new")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "last.pt").touch()
        os.utime(tmp_path / name / "last.pt", (time.time() - age,) * 2)
    assert resumable(tmp_path) == {"resume": tmp_path / "new" / "last.pt"}
