"""The way back through an encoder, against gradients that PyTorch computes."""

import pytest
import torch
from monai.networks.nets import BasicUNet
from torch import nn

from pipeline.explanation.deconvolution import Deconvolution, norm_scale
from pipeline.explanation.encoder_path import encoder_path
from pipeline.inference.mirrored import Mirrored
from pipeline.networks import Ensemble, UNet, UNet3Plus, UNetPlusPlus, module_maps

ANDERSEN = {"norm": "batch", "block_order": "conv-act-norm", "dropout": 0.0}
NETWORKS = {
    "unet": lambda **more: UNet(2, 1, 1, features=(2, 4, 8), **more),
    "andersen": lambda **more: UNet(2, 1, 1, features=(2, 4, 8), **ANDERSEN | more),
    "unshuffled": lambda **more: UNet(
        2, 1, 1, features=(2, 4, 8), norm="batch", pixel_unshuffle=2, **more
    ),
    "instance": lambda **more: UNet(2, 1, 1, features=(2, 4, 8), norm="instance", **more),
    "layer": lambda **more: UNet(2, 1, 1, features=(2, 4, 8), norm="layer", **more),
    "unetpp": lambda **more: UNetPlusPlus(2, 1, 1, features=(2, 4, 8), norm="batch", **more),
    "unet3plus": lambda **more: UNet3Plus(2, 1, 1, (2, 2, 4, 4, 8), 2, **more),
}


class RectifiedBack(torch.autograd.Function):
    """ReLU, whose gradient is rectified itself instead of being stopped by the forward mask."""

    @staticmethod
    def forward(context, values):
        return values.clamp(min=0)

    @staticmethod
    def backward(context, gradient):
        return gradient.clamp(min=0)


class Rectifier(nn.Module):
    def forward(self, values):
        return RectifiedBack.apply(values)


class FrozenNorm(nn.Module):
    """A normalisation by given moments, so that its gradient does not pass through them."""

    def __init__(self, norm):
        super().__init__()
        self.norm = norm

    def forward(self, features):
        with torch.no_grad():
            scale = norm_scale(self.norm, features)
            shift = self.norm(features) - features * scale
        return features * scale + shift


def replace(network, old, new):
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, old):
                setattr(module, name, new(child))


def trained(kind, **more):
    torch.manual_seed(0)
    network = NETWORKS[kind](**more)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for values in (norm.weight, norm.running_var):
                values.data.uniform_(0.5, 2)
            for values in (norm.bias, norm.running_mean):
                values.data.normal_()
    return network.eval()


def gradient(network, level, image, signal):
    """Return PyTorch's gradient of the level's map, weighted by a signal."""
    leaf = image[None].clone().requires_grad_()
    kept = {}
    levels = {each.name: each.block for each in encoder_path(network).levels}
    handle = levels[level].register_forward_hook(lambda _, __, output: kept.update(map=output))
    network(leaf)
    handle.remove()
    (kept["map"][0] * signal).sum().backward()
    return leaf.grad[0]


@pytest.mark.parametrize("kind", NETWORKS)
def test_it_is_autograd_with_a_rectified_gradient(kind):
    network, image = trained(kind), torch.randn(1, 32, 48)
    path = encoder_path(network)
    back = Deconvolution(path, image)
    level = path.levels[-1].name
    signal = torch.rand_like(back.maps[level])
    found = back.back(level, signal)
    other = trained(kind)
    replace(other, nn.ReLU, lambda _: Rectifier())
    replace(other, (nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm), FrozenNorm)
    expected = gradient(other, level, image, signal)
    assert found.abs().max() > 0
    assert torch.allclose(found, expected, atol=1e-5 * float(expected.abs().max()) + 1e-7)


@pytest.mark.parametrize("kind", ["andersen", "unshuffled", "unetpp", "unet3plus"])
def test_without_activations_it_is_the_gradient(kind):
    network, image = trained(kind), torch.randn(1, 32, 32)
    replace(network, nn.ReLU, lambda _: nn.Identity())
    back = Deconvolution(encoder_path(network), image)
    level = encoder_path(network).levels[-1].name
    signal = torch.randn_like(back.maps[level])
    expected = gradient(network, level, image, signal)
    assert torch.allclose(
        back.back(level, signal), expected, atol=1e-4 * float(expected.abs().max())
    )


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_maps_are_those_of_the_network(kind):
    network, image = trained(kind), torch.randn(1, 30, 33)
    path = encoder_path(network)
    maps = module_maps(network, image[None], {level.name: level.block for level in path.levels})
    back = Deconvolution(path, image)
    for name, expected in maps.items():
        assert torch.allclose(back.maps[name], expected[0], atol=1e-5), name
    assert back.trace(path.levels[-1].name, 0, (1, 1)).shape == image.shape


def test_a_maximum_returns_to_its_place():
    """Convolutions that copy: what comes back are the maxima of 2 x 2 pixels, where they lay."""
    network = UNet(2, 1, 1, features=(1, 1)).eval()
    for level in encoder_path(network).levels:
        for unit in level.block.units:
            unit.convolution.weight.data.zero_()
            unit.convolution.weight.data[0, 0, 1, 1] = 1
            unit.convolution.bias.data.zero_()
    image = torch.arange(16.0).reshape(1, 4, 4)
    image[0, 2, 0] = 99
    back = Deconvolution(encoder_path(network), image)
    shown = back.back("bottleneck", back.maps["bottleneck"])
    expected = torch.zeros(1, 4, 4)
    for place in ((1, 1), (1, 3), (2, 0), (3, 3)):
        expected[0][place] = image[0][place]
    assert torch.equal(shown, expected)
    assert torch.equal(back.trace("bottleneck", 0, (1, 0)), torch.where(image == 99, 99.0, 0.0))


def test_a_volume():
    network = UNet(3, 1, 1, features=(2, 4), norm="batch").eval()
    back = Deconvolution(encoder_path(network), torch.randn(1, 9, 8, 6))
    assert back.trace("bottleneck", 1, (2, 2, 2)).shape == (1, 9, 8, 6)


@pytest.mark.parametrize(
    "network",
    [BasicUNet(2, 1, 1), Mirrored(UNet(2, 1, 1, features=(2, 4), padding="valid"))],
)
def test_another_network_is_refused_by_name(network):
    with pytest.raises(ValueError, match=f"{type(network).__name__}: found no contracting path"):
        encoder_path(network)


def test_an_ensemble_is_its_first_member():
    first, second = trained("unet"), trained("unet")
    assert encoder_path(Ensemble([first, second])).levels[0].block is first.encoder[0]
