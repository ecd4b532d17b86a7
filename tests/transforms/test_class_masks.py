import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import AsDiscrete, RandAffined

from transforms import ClassMasks, ClassMasksd, RandElasticGridd


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


def test_regions_are_unions_that_may_overlap():
    masks = ClassMasks([[1, 2, 3], [2, 3], 3])(torch.tensor([[[0, 1, 2, 3]]]))
    assert masks.tolist() == [[[0, 1, 1, 1]], [[0, 0, 1, 1]], [[0, 0, 0, 1]]]


def test_ignored_pixels_are_minus_one_in_every_mask():
    masks = ClassMasks([1, [1, 2]], ignore=255)(np.array([[[0, 255, 1, 2]]], np.uint8))
    assert masks.tolist() == [[[0, -1, 1, 0]], [[0, -1, 1, 1]]]


def test_a_number_that_is_neither_class_nor_ignored_is_named():
    with pytest.raises(ValueError, match="the value 7; expected 0, 1, 2, 3, 255; correct it"):
        ClassMasks([[1, 2], 3], ignore=255)(torch.tensor([[[0, 7]]]))


@pytest.mark.parametrize(
    ("numbers", "ignore", "message"),
    [
        ([[1, 2], [2, 1]], None, "numbers: found"),
        ([[]], None, "numbers: found"),
        ([[0, 1]], None, "numbers: found"),
        ([1, [2, 3]], 3, "ignore: found 3, expected a number above 0 that is no class; the"),
        ([1], 0, "ignore: found 0"),
    ],
)
def test_wrong_regions(numbers, ignore, message):
    with pytest.raises(ValueError, match=message):
        ClassMasks(numbers, ignore)


def test_nearest_interpolation_keeps_what_is_ignored():
    label = torch.zeros(1, 32, 32)
    label[:, 8:20, 8:20], label[:, 20:30] = 1, 9
    target = ClassMasks([1], ignore=9)(label)
    affine = RandAffined("label", prob=1.0, rotate_range=0.3, mode="nearest", padding_mode="border")
    elastic = RandElasticGridd("label", prob=1.0, mode="nearest")
    for transform in (affine.set_random_state(0), elastic.set_random_state(0)):
        values = set(torch.unique(torch.as_tensor(transform({"label": target})["label"])).tolist())
        assert values == {-1.0, 0.0, 1.0}
