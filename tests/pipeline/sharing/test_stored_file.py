import io
import random

import pytest

from pipeline.sharing.archive import open_archive, write_archive

CONTENT = random.Random(0).randbytes(100_000)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.zip"
    write_archive(path, "a", {"before": b"x" * 999, "middle": CONTENT, "zlast": b"yyy"})
    return path


def test_it_reads_what_the_file_holds_from_anywhere(path):
    with open_archive(path).stream("middle") as stream:
        assert stream.read() == CONTENT
        assert stream.read() == b""
        for start in (0, 1, 77_777, len(CONTENT) - 1, len(CONTENT), len(CONTENT) + 5):
            stream.seek(start)
            assert stream.read(50) == CONTENT[start : start + 50]
        assert stream.seek(-3, io.SEEK_END) == len(CONTENT) - 3
        assert stream.read() == CONTENT[-3:]


def test_a_position_before_the_file_is_refused(path):
    with (
        open_archive(path).stream("middle") as stream,
        pytest.raises(ValueError, match="seek to -1: before the file"),
    ):
        stream.seek(-1)
