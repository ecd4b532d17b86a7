"""Which images a pretraining learns from: never one of test or validation, whatever its format."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from monai.transforms import LoadImaged
from PIL import Image

from pipeline.data.readers import PageReader
from pipeline.pretraining import UnlabelledImages, images_of

LOADER = LoadImaged("image", reader=PageReader(), ensure_channel_first=True)


def images(phantom: Path, folder: Path | None, **settings) -> UnlabelledImages:
    given = {
        "preprocessing": [LOADER],
        "spatial_dims": 2,
        "in_channels": 1,
        "model": "none/model.pt",
        **settings,
    }
    return UnlabelledImages(str(phantom), None if folder is None else str(folder), **given)


def paths(phantom: Path, split: str) -> list[Path]:
    return [Path(case["image"]) for case in images_of(str(phantom), split)]


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two images that no cohort has."""
    rng = np.random.default_rng(0)
    (tmp_path / "site").mkdir()
    for name in "ab":
        save(tmp_path / "site" / f"{name}.png", rng.integers(0, 255, (50, 60), np.uint8))
    return tmp_path / "site"


def save(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(path)


def test_the_training_images_serve_without_a_folder(phantom):
    found = images(phantom, None)
    assert [Path(case["image"]) for case in found.cases] == paths(phantom, "training")
    assert (len(found.hashes), found.further) == (3, 0)


def test_images_of_a_folder_are_added(phantom, folder, capsys):
    found = images(phantom, folder)
    assert [Path(case["image"]).name for case in found.cases[3:]] == ["a.png", "b.png"]
    assert found.further == 2
    assert len(set(found.hashes)) == 5
    line = f"learning from 3 training images and 2 of the 2 images of {folder}\n"
    assert capsys.readouterr().out == line


@pytest.mark.parametrize("split", ["test", "validation"])
def test_a_held_back_image_is_left_out_in_any_format_and_under_any_name(
    phantom, folder, split, capsys
):
    (held_back,) = paths(phantom, split)
    pixels = np.asarray(Image.open(held_back))
    tifffile.imwrite(folder / "innocent.tif", pixels.astype(np.float32))
    stack = np.stack([np.asarray(Image.open(folder / "a.png")), 255 - 2 * (pixels // 3)[:50, :60]])
    tifffile.imwrite(folder / "stack.tif", stack)
    save(folder / "colour.png", np.stack([pixels] * 3, axis=-1))
    found = images(phantom, folder, preprocessing=[LOADER, OneChannel()])
    names = {Path(case["image"]).name for case in found.cases[3:]}
    assert names == {"a.png", "b.png", "stack.tif#1"}  # page 0 is a.png once more
    said = capsys.readouterr().out.splitlines()[0]
    assert said == f"left out: 2 images of the {split} split: colour.png, innocent.tif"
    (entry,) = json.loads((phantom / "datalist.json").read_text())[split]
    assert entry["image_values_sha256"] not in found.hashes


class OneChannel:
    """The first channel, as grey images are made."""

    def __call__(self, data):
        return {**data, "image": data["image"][:1]}


def test_an_image_that_is_there_twice_is_taken_once(phantom, folder):
    shutil.copy(folder / "a.png", folder / "again.png")
    shutil.copy(paths(phantom, "training")[0], folder / "known.png")
    assert images(phantom, folder).further == 2


def test_every_image_that_does_not_fit_is_named(phantom, folder, capsys):
    (folder / "broken.png").write_bytes(b"\x89PNG no more")
    save(folder / "colour.png", np.random.default_rng(1).integers(0, 255, (9, 9, 3), np.uint8))
    save(folder / "flat.png", np.full((20, 20), 7, np.uint8))
    tifffile.imwrite(folder / "nan.tif", np.array([[np.nan, 1], [2, 3]], np.float32))
    with pytest.raises(ValueError, match="4 of 6 images do not fit the bundle, as said above"):
        images(phantom, folder)
    said = capsys.readouterr().out.splitlines()
    for line, (name, reason) in zip(
        said,
        {
            "broken.png": "",
            "colour.png": "3 channels; the network takes 1",
            "flat.png": "all pixels are 7",
            "nan.tif": "1 values that are NaN or infinite",
        }.items(),
        strict=True,
    ):
        assert name in line
        assert reason in line


def test_a_volume_network_refuses_a_slice(phantom, folder):
    with pytest.raises(FileNotFoundError, match="no volume in this folder"):
        images(phantom, folder, spatial_dims=3)


def test_a_folder_that_is_not_there_is_named(phantom, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"--images .*nowhere: no such folder"):
        images(phantom, tmp_path / "nowhere")
