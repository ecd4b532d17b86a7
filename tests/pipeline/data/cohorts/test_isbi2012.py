import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.data import read_datalist


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


def test_real_stacks_become_25_slices(real_data, prepare):
    out, content, _ = prepare("isbi2012", "--source", real_data / "isbi2012", "--seed", 4)
    datalist = read_datalist(out)
    assert [len(datalist.entries(s)) for s in ("training", "validation", "test")] == [15, 5, 5]
    assert content["seed"] == 4
    volume = tifffile.imread(real_data / "isbi2012" / "train-volume.tif")
    for entry in datalist.entries("test"):
        assert np.array_equal(Image.open(entry.image), volume[entry.columns["slice"]])


def test_contiguous_split(source, prepare):
    _, content, _ = prepare(
        "isbi2012", "--source", source, "--split", "contiguous", "--sizes", 4, 1, 1
    )
    assert [e["slice"] for e in content["training"]] == [0, 1, 2, 3]
    assert [e["slice"] for e in content["test"]] == [5]


def test_single_slices_in_the_order_of_their_numbers(source, prepare, save, tmp_path):
    volume = tifffile.imread(source / "train-volume.tif")
    labels = tifffile.imread(source / "train-labels.tif")
    for number, i in zip((0, 1, 2, 9, 10, 11), range(6), strict=True):
        save(tmp_path / "pngs" / "image" / f"{number}.png", volume[i])
        save(tmp_path / "pngs" / "label" / f"{number}.png", labels[i])
    sizes = ("--sizes", 4, 1, 1)
    first = prepare("isbi2012", "--source", source, *sizes)[1]
    assert prepare("isbi2012", "--source", tmp_path / "pngs", *sizes, out="b")[1] == first


def test_no_such_folder(failing, tmp_path):
    assert "no such folder" in failing("isbi2012", "--source", tmp_path / "nowhere")


def test_missing_stack(source, failing):
    (source / "train-labels.tif").unlink()
    assert "train-labels.tif: no such file" in failing("isbi2012", "--source", source)


def test_stacks_of_different_lengths_and_sizes(source, failing):
    tifffile.imwrite(source / "train-labels.tif", np.zeros((5, 8, 8), np.uint8))
    assert "5 labels for 6 images" in failing("isbi2012", "--source", source)
    tifffile.imwrite(
        source / "train-labels.tif", np.zeros((6, 8, 4), np.uint8), photometric="minisblack"
    )
    line = failing("isbi2012", "--source", source, "--sizes", 4, 1, 1)
    assert "a label of 8 x 4 pixels; expected 8 x 8" in line


def test_labels_of_more_than_two_values(source, failing):
    tifffile.imwrite(source / "train-labels.tif", np.arange(384, dtype=np.uint16).reshape(6, 8, 8))
    line = failing("isbi2012", "--source", source, "--sizes", 4, 1, 1)
    assert "train-labels.tif, page 0: a mask with the values" in line


def test_any_number_of_slices_is_split_in_proportion(source, prepare):
    _, content, _ = prepare("isbi2012", "--source", source)
    assert [len(content[s]) for s in ("training", "validation", "test")] == [4, 1, 1]


def test_truncated_stack(source, failing):
    content = (source / "train-volume.tif").read_bytes()
    (source / "train-volume.tif").write_bytes(content[:300])
    line = failing("isbi2012", "--source", source)
    assert "train-volume.tif: cannot be read as an image" in line
