import pytest
import torch
from monai.data import MetaTensor

from transforms import GreyImage, GreyImaged


def test_an_eight_bit_image_passes():
    image = torch.tensor([[[0, 128, 255]]], dtype=torch.uint8)
    assert GreyImage()(image).tolist() == [[[0, 128, 255]]]


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colour_is_refused(channels):
    with pytest.raises(ValueError, match=f"{channels} channels; expected 1"):
        GreyImage()(torch.zeros(channels, 2, 2))


@pytest.mark.parametrize("value", [-1, 256, 40213, float("nan"), float("inf")])
def test_values_outside_the_range_are_refused(value):
    with pytest.raises(ValueError, match="expected 0 to 255"):
        GreyImage()(torch.tensor([[[0, value]]]))


def test_sixteen_bits_on_request():
    assert GreyImage(maximum=65535)(torch.tensor([[[0, 40213]]])).max() == 40213


def test_dictionary_error_names_the_file():
    image = MetaTensor(torch.zeros(4, 2, 2), meta={"filename_or_obj": "xray.png"})
    with pytest.raises(ValueError, match=r"^xray\.png: an image with 4 channels"):
        GreyImaged("image")({"image": image})
