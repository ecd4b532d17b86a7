import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from transforms import MirrorPad, MirrorPadd


@pytest.mark.parametrize("sides", [(1, 1), (2, 5), (7, 3, 4)])
@pytest.mark.parametrize("border", [0, 1, 9])
def test_numpy_mirrors_alike(sides, border):
    image = np.random.default_rng(0).normal(size=(2, *sides))
    expected = np.pad(image, [(0, 0), *[(border, border)] * len(sides)], mode="reflect")
    np.testing.assert_array_equal(MirrorPad(border)(image), expected)


def test_types_stay_and_other_keys_are_left_alone():
    label = torch.tensor([[[0, 70_000]]])
    data = {"image": MetaTensor(torch.ones(1, 1, 2)), "label": label, "name": "a"}
    out = MirrorPadd(["image", "label"], 2)(data)
    assert out["label"].dtype == label.dtype
    assert out["label"][0, 2].tolist() == [0, 70_000, 0, 70_000, 0, 70_000]
    assert isinstance(out["image"], MetaTensor)
    assert out["name"] == "a"


def test_a_negative_border_is_refused():
    with pytest.raises(ValueError, match="border: found -1"):
        MirrorPad(-1)
