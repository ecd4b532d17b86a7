import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from pipeline.data.phantom import cells, write_cells
from pipeline.evaluation.baselines import best_intensity_threshold, constant_answer
from pipeline.files import sha256


def test_the_seed_decides_every_file(tmp_path):
    for name in ("a", "b"):
        write_cells(tmp_path / name, count=3, size=64, seed=5)
    assert sha256(tmp_path / "a" / "datalist.json") == sha256(tmp_path / "b" / "datalist.json")


def test_label_and_instances_agree(phantom):
    for path in (phantom / "labels").iterdir():
        label = np.asarray(Image.open(path))
        instances = np.asarray(Image.open(phantom / "instances" / path.name))
        assert set(np.unique(label)) == {0, 255}
        assert np.array_equal(label > 0, instances > 0)


def test_cells_touch_over_thin_membranes_and_are_whole():
    _, instances = cells(128, np.random.default_rng(0))
    grown = ndimage.grey_dilation(instances, size=7)
    assert ((instances == 0) & (grown > 0)).sum() > 0.95 * (instances == 0).sum()
    for cell in range(1, instances.max() + 1):
        assert ndimage.label(instances == cell)[1] == 1


def test_no_intensity_threshold_solves_it():
    pairs = []
    for seed in range(3):
        image, instances = cells(256, np.random.default_rng(seed))
        pairs.append((torch.tensor(image), torch.tensor(instances > 0)))
    _, best = best_intensity_threshold(pairs)
    constant = constant_answer(pairs)["accuracy"]
    # of the pixels that the constant answer gets wrong, a threshold mends less than a third
    assert (best - constant) / (1 - constant) < 1 / 3


@pytest.mark.parametrize(("count", "size"), [(2, 64), (3, 63)])
def test_too_few_or_too_small(tmp_path, count, size):
    with pytest.raises(ValueError, match="expected at least"):
        write_cells(tmp_path, count, size, seed=0)
