"""Probabilities come back to the pixels of the file one label at a time, as all at once."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import CenterSpatialCropd, Compose, Invertd, Orientationd, Spacingd

from pipeline.inference.eight_bits import in_8_bits
from pipeline.inference.file_voxels import SCALE, ToFileVoxels

AFFINE = np.diag([-0.8, -0.8, 2.0, 1])
PREPROCESSINGS = {
    "turned": [Orientationd("image", "RAS", labels=None)],
    "resampled": [Orientationd("image", "RAS", labels=None), Spacingd("image", [1.2, 1.2, 1.5])],
    "cropped": [CenterSpatialCropd("image", [12, 8, 6])],
}


@pytest.fixture(params=PREPROCESSINGS)
def preprocessing(request):
    return Compose(PREPROCESSINGS[request.param])


@pytest.fixture
def item(preprocessing):
    torch.manual_seed(0)
    item = preprocessing({"image": MetaTensor(torch.rand(1, 20, 17, 9), affine=AFFINE)})
    return {**item, "pred": 3 * torch.randn(3, *item["image"].shape[1:])}


def test_labels_come_back_as_all_at_once(item, preprocessing):
    out = ToFileVoxels(preprocessing)(item)
    invert = Invertd("pred", preprocessing, orig_keys="image", nearest_interp=False)
    together = invert({**item, "pred": MetaTensor(item["pred"].sigmoid())})["pred"].clamp(0, 1)
    np.testing.assert_array_equal(np.stack(list(out["pred"])), together.numpy())
    assert len(out["pred"]) == 3
    assert out["image"].shape == (1, 20, 17, 9)
    np.testing.assert_allclose(out["image"].affine, AFFINE)
    assert out[SCALE] == pytest.approx(1.2 * 1.2 * 1.5 / 1.28 if is_resampled(preprocessing) else 1)


def test_8_bits_come_back_as_probabilities(item, preprocessing):
    exact = np.stack(list(ToFileVoxels(preprocessing)(item)["pred"]))
    maps = in_8_bits(item["pred"].sigmoid())
    coarse = np.stack(list(ToFileVoxels(preprocessing)({**item, "pred": maps})["pred"]))
    assert coarse.dtype == np.float32
    np.testing.assert_allclose(coarse, exact, atol=0.5 / 255 + 1e-6)


def test_places_of_a_large_map_are_in_32_bits(item, preprocessing, monkeypatch):
    formats = []
    sample = torch.nn.functional.grid_sample

    def watched(input, grid, **kwargs):
        formats.append((input.dtype, grid.dtype))
        return sample(input, grid, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "grid_sample", watched)
    maps = in_8_bits(item["pred"].sigmoid())
    list(ToFileVoxels(preprocessing)({**item, "pred": maps})["pred"])
    assert len(formats) == (4 if is_resampled(preprocessing) else 0)
    assert set(formats) <= {(torch.float32, torch.float32)}


def test_without_transforms_of_places_they_are_those_of_the_network(item):
    out = ToFileVoxels(Compose([]))(item)
    np.testing.assert_array_equal(np.stack(list(out["pred"])), item["pred"].sigmoid().numpy())
    assert out[SCALE] == 1.0


def is_resampled(preprocessing):
    return len(preprocessing.transforms) == 2
