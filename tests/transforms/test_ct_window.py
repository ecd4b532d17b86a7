import pytest
import torch
from monai.data import MetaTensor

from transforms import CTWindow, CTWindowd


def read(values, maximum=None):
    meta = {"filename_or_obj": "ct.nii.gz"} | ({"maximum": maximum} if maximum else {})
    return MetaTensor(torch.tensor([[values]]), meta=meta)


def test_the_window_of_hounsfield_units():
    window = CTWindow(width=400, level=40)
    assert window(read([-1000, -160, 40, 240, 3000])).flatten().tolist() == [0, 0, 127.5, 255, 255]


def test_8_bits_went_through_a_window_already():
    assert CTWindow(400, 40)(read([0, 7, 255], 255.0)).flatten().tolist() == [0, 7, 255]


@pytest.mark.parametrize("maximum", [4095.0, 65535.0])
def test_unsigned_numbers_of_more_bits_are_refused(maximum):
    with pytest.raises(
        ValueError, match=r"^ct\.nii\.gz: unsigned values of 0 to .* zero is not kn"
    ):
        CTWindowd("image", 400, 40)({"image": read([0, 1024], maximum)})


def test_other_errors():
    with pytest.raises(ValueError, match="width: found 0, expected Hounsfield units above 0"):
        CTWindow(0, 40)
    with pytest.raises(ValueError, match="3 channels; expected 1, a CT slice"):
        CTWindow(400, 40)(torch.zeros(3, 2, 2))
    with pytest.raises(ValueError, match="1 values that are NaN"):
        CTWindow(400, 40)(read([0.0, float("nan")]))
