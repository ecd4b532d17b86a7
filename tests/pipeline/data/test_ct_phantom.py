import json

import numpy as np
import pytest
import torch
from tifffile import imread

from pipeline import cli
from pipeline.data.ct_phantom import AIR, chest, draw_anatomy, write_lungs
from pipeline.evaluation.baselines import best_intensity_threshold, constant_answer
from pipeline.files import sha256


def slices(count, size=128):
    for seed in range(count):
        rng = np.random.default_rng(seed)
        yield chest(size, draw_anatomy(rng), (seed + 0.5) / count, rng)


def test_the_seed_decides_every_file(tmp_path):
    for name in ("a", "b"):
        write_lungs(tmp_path / name, count=17, size=64, seed=5)
    files = [sorted(path for path in (tmp_path / name).rglob("*.tif")) for name in ("a", "b")]
    assert len(files[0]) == 34
    assert [sha256(path) for path in files[0]] == [sha256(path) for path in files[1]]


def test_lungs_hold_vessels_and_not_all_air_is_lung():
    for image, lungs in slices(4):
        assert 0.02 < lungs.mean() < 0.4
        assert (image[lungs] > -100).mean() > 0.02, "vessels"
        air = image < AIR + 150
        assert (air & ~lungs).sum() > lungs.sum(), "around the body"


def test_no_threshold_finds_the_lungs():
    window = [(np.clip((image + 1350) / 1500, 0, 1) * 255, lungs) for image, lungs in slices(8)]
    pairs = [(torch.tensor(image), torch.tensor(lungs)) for image, lungs in window]
    _, best = best_intensity_threshold(pairs, "dice")
    assert best < 0.75
    assert constant_answer(pairs)["dice"] < best


def test_it_is_prepared_as_the_published_set_is(tmp_path, capsys):
    source, data = tmp_path / "source", tmp_path / "data"
    size = ["--count", "25", "--size", "64"]
    assert cli.main(["data", "phantom", "--kind", "lungs", "--out", str(source), *size]) == 0
    assert f"data prepare lung_ct --source {source}" in capsys.readouterr().out
    assert imread(source / "2d_images" / "MADE_0000_Z_0003.tif").dtype == np.int16
    assert (
        cli.main(["data", "prepare", "lung_ct", "--source", str(source), "--out", str(data)]) == 0
    )
    content = json.loads((data / "datalist.json").read_text())
    patients = [{row["patient"] for row in content[split]} for split in ("training", "test")]
    assert patients[0].isdisjoint(patients[1])
    assert {patient for some in patients for patient in some} < {f"MADE_000{i}" for i in range(4)}


@pytest.mark.parametrize(("count", "size"), [(16, 64), (17, 63)])
def test_too_few_or_too_small(tmp_path, count, size):
    with pytest.raises(ValueError, match="expected at least"):
        write_lungs(tmp_path, count, size, seed=0)
