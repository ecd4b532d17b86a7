import pytest
import torch
from torch import nn

from pipeline.networks.initialisation import initialise_he_normal, initialise_he_truncated


@pytest.fixture
def layers():
    torch.manual_seed(0)
    return nn.ModuleList([nn.Conv2d(64, 128, 3), nn.ConvTranspose2d(128, 64, 2, stride=2)])


def test_weights_are_he_normal(layers):
    initialise_he_normal(layers)
    for layer, incoming in zip(layers, (64 * 9, 128), strict=True):
        assert layer.weight.std().item() == pytest.approx((2 / incoming) ** 0.5, rel=0.02)
        assert abs(layer.weight.mean().item()) < 0.002
        assert not layer.bias.any()


def test_truncated_weights_have_the_same_deviation_and_no_tails(layers):
    """Keras counts the outputs of a transposed convolution as its inputs: 64 * 2 * 2."""
    initialise_he_truncated(layers)
    for layer, incoming in zip(layers, (64 * 9, 64 * 4), strict=True):
        deviation = (2 / incoming) ** 0.5
        assert layer.weight.std().item() == pytest.approx(deviation, rel=0.02)
        assert layer.weight.abs().max().item() <= 2 * deviation / 0.8796 * 1.0001
        assert not layer.bias.any()
