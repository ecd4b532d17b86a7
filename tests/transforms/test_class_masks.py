import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import AsDiscrete

from transforms import ClassMasks, ClassMasksd


def test_agrees_with_monai_one_hot_without_its_background():
    label = torch.randint(0, 4, (1, 5, 6, 7), generator=torch.Generator().manual_seed(0))
    expected = AsDiscrete(to_onehot=4)(label)[1:]
    assert torch.equal(ClassMasks([1, 2, 3])(label), expected)


def test_the_masks_stand_in_the_order_of_the_numbers():
    masks = ClassMasks([7, 2])(np.array([[[2, 7, 0]]]))
    assert masks.tolist() == [[[0, 1, 0]], [[1, 0, 0]]]


def test_a_label_keeps_its_place_in_space():
    affine = torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0])).double()
    masks = ClassMasks([1, 2])(MetaTensor(torch.zeros(1, 2, 2, 2), affine=affine))
    assert torch.equal(masks.affine, affine)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (torch.tensor([[[0, 3]]]), "a label with the value 3; expected 0, 1, 2"),
        (torch.tensor([[[0.0, 1.5]]]), "a label with the value 1.5"),
        (torch.zeros(3, 2, 2), "a label of 3 channels; expected one"),
    ],
)
def test_a_wrong_label_is_named_with_its_file(label, message):
    data = {"label": MetaTensor(label, meta={"filename_or_obj": "a.nii.gz"})}
    with pytest.raises(ValueError, match=rf"a\.nii\.gz: {message}"):
        ClassMasksd("label", [1, 2])(data)


@pytest.mark.parametrize("numbers", [[], [0, 1], [1, 1]])
def test_wrong_numbers(numbers):
    with pytest.raises(ValueError, match="numbers: found"):
        ClassMasks(numbers)
