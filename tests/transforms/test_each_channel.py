import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import RandAdjustContrast, RandScaleIntensity

from transforms import RandEachChanneld


def factors(transform, channels=2, count=1):
    """What an image of ones is multiplied by, ``(count, channels)``."""
    images = [transform({"image": torch.ones(channels, 2, 2)})["image"] for _ in range(count)]
    return torch.stack(images)[..., 0, 0]


def test_each_channel_has_a_draw_of_its_own_that_a_seed_repeats():
    transform = RandEachChanneld("image", RandScaleIntensity(0.5, prob=1.0)).set_random_state(0)
    drawn = factors(transform, count=50)
    assert len(drawn.unique()) == 100
    assert torch.equal(factors(transform.set_random_state(0), count=50), drawn)


def test_the_probabilities_of_image_and_channel_multiply():
    transform = RandEachChanneld("image", RandScaleIntensity(0.5, prob=0.5), prob=0.4)
    changed = factors(transform.set_random_state(1), count=600) != 1
    assert changed.float().mean().item() == pytest.approx(0.2, abs=0.04)
    assert changed.any(dim=1).float().mean().item() == pytest.approx(0.4 * 0.75, abs=0.05)


def test_the_range_of_a_gamma_is_that_of_the_channel():
    gamma = RandAdjustContrast(prob=1.0, gamma=(1.49999, 1.5))
    image = torch.stack([torch.tensor([[0.0, 0.25, 1.0]]), torch.tensor([[0.0, 25.0, 100.0]])])
    changed = RandEachChanneld("image", gamma)({"image": MetaTensor(image)})["image"]
    assert isinstance(changed, MetaTensor)
    expected = torch.tensor([0.0, 0.125, 1.0])
    torch.testing.assert_close(changed.as_tensor()[0, 0], expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(changed.as_tensor()[1, 0], 100 * expected, atol=1e-2, rtol=0)
