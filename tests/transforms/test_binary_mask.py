import pytest
import torch
from monai.data import MetaTensor

from transforms import BinaryMask, BinaryMaskd


@pytest.mark.parametrize("high", [1, 255])
def test_high_value_becomes_one(high):
    mask = torch.tensor([[[0, high], [high, 0]]])
    assert BinaryMask()(mask).tolist() == [[[0, 1], [1, 0]]]


@pytest.mark.parametrize("value", [0, 1, 255])
def test_a_mask_of_one_value_is_accepted(value):
    assert BinaryMask()(torch.full((1, 2, 2), value)).unique().tolist() == [float(value > 0)]


@pytest.mark.parametrize("values", [[0, 1, 255], [0, 127], [0, 254, 255], [-1, 0], [0, 0.5]])
def test_other_values_are_refused(values):
    with pytest.raises(ValueError, match="expected 0 and 1, or 0 and 255"):
        BinaryMask()(torch.tensor([values]))


def test_nan_is_refused():
    with pytest.raises(ValueError, match="nan"):
        BinaryMask()(torch.tensor([[0.0, float("nan")]]))


def test_dictionary_error_names_the_file():
    mask = MetaTensor(torch.tensor([[[0, 7]]]), meta={"filename_or_obj": "smeared.png"})
    with pytest.raises(ValueError, match=r"^smeared\.png: a mask with the values 0, 7;"):
        BinaryMaskd("label")({"label": mask})
