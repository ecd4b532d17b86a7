import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.data import read_datalist
from pipeline.data.isbi2012 import prepare_isbi2012


@pytest.fixture
def source(tmp_path):
    """The challenge's layout with six small slices."""
    folder = tmp_path / "source"
    folder.mkdir()
    rng = np.random.default_rng(0)
    tifffile.imwrite(folder / "train-volume.tif", rng.integers(0, 256, (6, 8, 8), np.uint8))
    labels = np.uint8(255) * rng.integers(0, 2, (6, 8, 8), np.uint8)
    tifffile.imwrite(folder / "train-labels.tif", labels)
    return folder


def test_real_stacks_become_25_slices(real_data, tmp_path):
    prepare_isbi2012(real_data / "isbi2012", tmp_path, seed=4)
    datalist = read_datalist(tmp_path)
    assert [len(datalist.entries(s)) for s in ("training", "validation", "test")] == [15, 5, 5]
    assert datalist.content["seed"] == 4
    volume = tifffile.imread(real_data / "isbi2012" / "train-volume.tif")
    for entry in datalist.entries("test"):
        assert np.array_equal(Image.open(entry["image"]), volume[entry["slice"]])


def test_contiguous_split(source, tmp_path):
    prepare_isbi2012(source, tmp_path / "out", (4, 1, 1), "contiguous")
    content = json.loads((tmp_path / "out" / "datalist.json").read_text())
    assert [e["slice"] for e in content["training"]] == [0, 1, 2, 3]
    assert [e["slice"] for e in content["test"]] == [5]


def test_no_such_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        prepare_isbi2012(tmp_path / "nowhere", tmp_path)


def test_missing_stack(source, tmp_path):
    (source / "train-labels.tif").unlink()
    with pytest.raises(FileNotFoundError, match=r"train-labels\.tif: no such file"):
        prepare_isbi2012(source, tmp_path / "out")


def test_stacks_of_different_sizes(source, tmp_path):
    tifffile.imwrite(source / "train-labels.tif", np.zeros((5, 8, 8), np.uint8))
    with pytest.raises(ValueError, match="5 pages of 8 x 8; expected 6 pages of 8 x 8"):
        prepare_isbi2012(source, tmp_path / "out")


def test_labels_of_more_than_two_values(source, tmp_path):
    tifffile.imwrite(source / "train-labels.tif", np.arange(384, dtype=np.uint16).reshape(6, 8, 8))
    with pytest.raises(ValueError, match=r"train-labels\.tif, page 0: a mask with the values"):
        prepare_isbi2012(source, tmp_path / "out", (4, 1, 1))


def test_truncated_stack(source, tmp_path):
    content = (source / "train-volume.tif").read_bytes()
    (source / "train-volume.tif").write_bytes(content[:300])
    with pytest.raises(ValueError, match=r"train-volume\.tif: cannot be read as an image"):
        prepare_isbi2012(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
