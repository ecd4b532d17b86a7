"""An inference that the disk cannot take does not begin; one that it may take does."""

import shutil
from types import SimpleNamespace

import pytest

from pipeline.inference.report import InferenceCase, InferenceReport
from pipeline.inference.room import check_room_for, predicted_bytes


@pytest.fixture
def cases(tmp_path):
    """Two images of 1000 bytes, one of them in two channels."""
    paths = [tmp_path / name for name in ("a.png", "b_0.png", "b_1.png")]
    for path, size in zip(paths, (1000, 500, 500), strict=True):
        path.write_bytes(bytes(size))
    first, *channels = paths
    return [
        InferenceCase(first, [{}], (first,)),
        InferenceCase(channels[0], [{}], tuple(channels)),
    ]


@pytest.mark.parametrize(
    ("labels", "bits", "expected"), [(1, None, 20), (3, None, 20), (1, 8, 80), (3, 32, 620)]
)
def test_bytes_by_labels_and_bits(cases, labels, bits, expected):
    assert predicted_bytes(cases, labels, bits) == expected


def test_files_that_are_replaced_count_as_room(cases, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    (folder / "mask").mkdir(parents=True)
    (folder / "mask" / "a.png").write_bytes(bytes(10))
    report = InferenceReport(folder, {"threshold": 0.5}, {})
    report.begin(cases)
    writer = SimpleNamespace(folder=folder, labels={}, probabilities=None, outer={}, report=report)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=10))
    check_room_for(writer, cases)
    (folder / "mask" / "a.png").write_bytes(bytes(9))
    with pytest.raises(ValueError, match="for the masks of 2 images; make room"):
        check_room_for(writer, cases)
