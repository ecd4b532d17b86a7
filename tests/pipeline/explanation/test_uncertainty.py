import pytest
import torch
from monai.transforms import Compose, RandAffined, RandFlipd, RandRotate90d

from pipeline.explanation.uncertainty import error_auc, uncertainty


@pytest.fixture
def image():
    return torch.randn(1, 24, 24, generator=torch.Generator().manual_seed(0))


def test_each_version_is_inverted(image):
    result = uncertainty(lambda x: x, image, RandFlipd("image", prob=0.5, spatial_axis=1))
    assert torch.allclose(result.mean, image.sigmoid())
    assert (result.deviation == 0).all()


def test_what_depends_on_the_side_is_uncertain(image):
    """A predictor that takes the left half of whatever it is shown."""
    left = (torch.arange(24) < 12).float() * 8 - 4
    result = uncertainty(
        lambda x: left.expand_as(x), image, RandFlipd("image", prob=0.5, spatial_axis=1), 20
    )
    assert (result.deviation > 0.3).all()
    assert result.mean.mean() == pytest.approx(0.5, abs=0.01)


def test_the_seed_makes_the_versions(image):
    augmentation = RandAffined("image", prob=1, rotate_range=0.3, padding_mode="border")

    def deviation(seed):
        return uncertainty(lambda x: x, image, augmentation, 3, seed).deviation

    assert torch.equal(deviation(1), deviation(1))
    assert not torch.equal(deviation(1), deviation(2))


def test_images_that_are_not_square(image):
    wide = image[:, :16]
    flips = Compose([RandFlipd("image", 0.5, axis) for axis in (0, 1)])
    result = uncertainty(lambda x: x, wide, flips)
    assert result.deviation.shape == (16, 24)
    assert torch.allclose(result.mean, wide.sigmoid())
    with pytest.raises(ValueError, match=r"found maps of .* for an image of \(16, 24\)"):
        uncertainty(lambda x: x, wide, RandRotate90d("image", prob=1))


def test_fewer_than_two_versions_are_refused(image):
    with pytest.raises(ValueError, match="uncertainty versions: found 1, expected 2 or more"):
        uncertainty(lambda x: x, image, RandFlipd("image"), 1)


def test_whether_it_finds_the_errors():
    deviation = torch.tensor([[0.1, 0.4], [0.3, 0.2]])
    assert error_auc(deviation, torch.tensor([[0, 1], [1, 0]])) == 1
    assert error_auc(deviation, torch.tensor([[1, 0], [0, 1]])) == 0
    assert error_auc(deviation, torch.zeros(2, 2)) is None
