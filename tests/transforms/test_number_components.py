"""The pieces of a mask are numbered."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy.ndimage import label as components

from transforms import NumberComponents, NumberComponentsd


@pytest.mark.parametrize("shape", [(1, 20, 20), (1, 8, 9, 10)])
def test_pixels_of_a_piece_have_its_number(shape):
    mask = (np.random.default_rng(0).random(shape) > 0.5).astype(np.float32)
    numbers = NumberComponents()(torch.from_numpy(mask))
    assert numbers.dtype == torch.float32
    assert np.array_equal(numbers[0], components(mask[0])[0])


def test_a_mask_keeps_its_place_and_gets_instances_beside_it():
    affine = torch.diag(torch.tensor([0.5, 0.5, 1.0, 1.0], dtype=torch.float64))
    mask = MetaTensor(torch.tensor([[[1.0, 0.0, 1.0]]]), affine=affine)
    out = NumberComponentsd("label")({"label": mask})
    assert out["label"] is mask
    assert out["instances"].tolist() == [[[1, 0, 2]]]
    assert torch.equal(out["instances"].affine, affine)


def test_an_image_alone_has_no_mask():
    assert NumberComponentsd("label", allow_missing_keys=True)({"image": 0}) == {"image": 0}


def test_what_has_no_pieces_of_one_mask_is_refused():
    two = MetaTensor(torch.ones(2, 4, 4), meta={"filename_or_obj": "two.png"})
    with pytest.raises(ValueError, match=r"two.png: found 2 labels, expected one"):
        NumberComponentsd("label")({"label": two})
    with pytest.raises(ValueError, match="found numbered instances"):
        NumberComponentsd("label")({"label": torch.ones(1, 4, 4), "instances": "a.png"})
