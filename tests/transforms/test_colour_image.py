import pytest
import torch
from monai.data import MetaTensor

from transforms import ColourImage, ColourImaged


def test_grey_is_repeated_and_an_opaque_alpha_dropped():
    grey = torch.tensor([[[0, 7]]])
    assert ColourImage()(grey).tolist() == [[[0, 7]]] * 3
    rgba = torch.tensor([1, 2, 3, 255]).reshape(4, 1, 1)
    assert ColourImage()(rgba).flatten().tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(5, 3, 3), "an image with 5 channels"),
        (torch.full((3, 3, 3), 4000), "intensities from 4000 to 4000"),
        (torch.full((1, 3, 3), float("nan")), "9 values that are NaN"),
        (torch.zeros(4, 3, 3), "transparent pixels"),
    ],
)
def test_what_it_refuses(image, message):
    named = MetaTensor(image, meta={"filename_or_obj": "a.png"})
    with pytest.raises(ValueError, match=f"^a.png: .*{message}"):
        ColourImaged("image")({"image": named})
