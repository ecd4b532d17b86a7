import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor

from transforms import BinaryMask, BorderWeightMap, ClassMasks, SeparateTouching
from transforms.whole_numbers import whole_numbers

SLOPE_OF_255 = np.float64(255 * np.float32(1 / 255))
STORED = {
    "a thresholded probability": ([0.0, 0.99999], [0, 1]),
    "a NIfTI slope of 1/255": ([0.0, SLOPE_OF_255], [0, 1]),
    "labels times .999": ([0.999, 1.998, 4.995, 9.99], [1, 2, 5, 10]),
    "just below zero": ([-0.0005, 254.999], [0, 255]),
}
FRACTIONS = [0.5, 1.1, 0.99, -0.5, 1035.5, 300.02]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("stored", "meant"), STORED.values(), ids=STORED.keys())
def test_almost_whole_numbers_are_rounded(stored, meant, dtype):
    array = np.array(stored, dtype)
    assert np.array_equal(whole_numbers(array), meant)
    assert torch.equal(
        whole_numbers(torch.from_numpy(array)).double(), torch.tensor(meant).double()
    )


@pytest.mark.parametrize("value", FRACTIONS)
def test_fractions_stay(value):
    assert whole_numbers(np.array([value]))[0] == value
    assert whole_numbers(torch.tensor([value], dtype=torch.float64)).item() == value


def test_what_is_not_finite_stays():
    values = whole_numbers(np.array([np.nan, np.inf, -np.inf]))
    assert np.isnan(values[0])
    assert values[1:].tolist() == [np.inf, -np.inf]
    assert whole_numbers(torch.tensor([torch.inf])).item() == torch.inf


@given(number=st.integers(0, 10), share=st.floats(-0.001, 0.001))
def test_up_to_ten_a_label_may_be_a_thousandth_off(number, share):
    assert whole_numbers(np.array([number * (1 + share)]))[0] == number


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32])
def test_whole_types_are_returned_as_they_are(dtype):
    array = np.arange(4).astype(dtype)
    assert whole_numbers(array) is array


def test_the_transforms_round_alike():
    stored = MetaTensor(torch.tensor([[[0.0, 0.999, 1.998]]]), affine=torch.diag(torch.ones(4)) * 2)
    assert ClassMasks([1, 2])(stored).tolist() == [[[0, 1, 0]], [[0, 0, 1]]]
    assert torch.equal(ClassMasks([1, 2])(stored).affine, stored.affine)
    assert BinaryMask()(torch.tensor([[[0, 0.99999, 0.0002]]])).tolist() == [[[0, 1, 0]]]
    assert BinaryMask()(torch.tensor([[[0, 254.9999]]])).tolist() == [[[0, 1]]]
    apart = SeparateTouching(width=1)(torch.tensor([[[0.999, 0.999, 1.998, 1.998, 1.998]]]))
    assert apart.tolist() == [[[1, 1, 0, 2, 2]]]


@pytest.mark.parametrize("transform", [BorderWeightMap(), SeparateTouching()])
def test_a_label_of_bfloat16_is_that_of_float32(transform):
    label = torch.zeros(1, 20, 20)
    label[:, 2:8], label[:, 9:15] = 1, 2
    assert torch.equal(transform(label.bfloat16()).float(), transform(label))
