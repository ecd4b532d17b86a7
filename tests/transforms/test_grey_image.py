import pytest
import torch
from monai.data import MetaTensor

from transforms import GreyImage, GreyImaged


def read(values, maximum=None):
    """An image as a reader returns it, with the range of its number format."""
    meta = {"filename_or_obj": "xray.png"}
    return MetaTensor(torch.tensor(values), meta=meta | ({"maximum": maximum} if maximum else {}))


def test_an_eight_bit_image_passes_bit_for_bit():
    assert GreyImage()(read([[[0, 128, 255]]], 255.0)).tolist() == [[[0, 128, 255]]]


@pytest.mark.parametrize("maximum", [4095.0, 65535.0])
def test_one_exam_is_the_same_in_every_number_format(maximum):
    bits = GreyImage()(read([[[0, int(maximum)]]], maximum))
    assert torch.allclose(bits.as_tensor(), torch.tensor([[[0.0, 255.0]]]))


def test_fractions_and_signed_numbers_stay():
    assert GreyImage()(read([[[-1000.0, 0.25]]])).tolist() == [[[-1000.0, 0.25]]]


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_grey_stored_in_colour_becomes_one_channel(channels):
    image = torch.full((channels, 1, 2), 7)
    if channels in (2, 4):
        image[-1] = 255
    assert GreyImage()(image).tolist() == [[[7, 7]]]


def test_colour_and_transparent_pixels_are_refused():
    colours = torch.tensor([1, 2, 3]).reshape(3, 1, 1)
    with pytest.raises(ValueError, match="in colour \\(3 channels that differ\\); expected grey"):
        GreyImage()(colours)
    with pytest.raises(ValueError, match="transparent pixels"):
        GreyImage()(torch.zeros(4, 2, 2))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_number_are_refused_by_file(value):
    with pytest.raises(ValueError, match=r"^xray\.png: 1 values that are NaN or infinite"):
        GreyImaged("image")({"image": read([[[0.0, value]]])})
