"""The gradients of kernels that are larger than their maps are those of float32."""

import copy

import pytest
import torch

from pipeline.networks import UNet3Plus
from pipeline.training.thin_maps import thin_maps_in_float32


def gradient(layer, maps, precision):
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        layer(maps).float().square().sum().backward()
    return layer.weight.grad


@pytest.mark.parametrize(("kernel", "slices"), [(3, 1), (3, 2), (5, 2), (5, 3), (5, 4), (7, 3)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_a_map_with_fewer_slices_than_the_kernel(kernel, slices, layout):
    torch.manual_seed(0)
    layer = torch.nn.Conv3d(16, 16, kernel, padding=kernel // 2).to(memory_format=layout)
    exact = copy.deepcopy(layer)
    thin_maps_in_float32(layer)
    maps = torch.randn(2, 16, slices, 4, 4).to(memory_format=layout)
    expected = gradient(exact, maps, "float32")
    torch.testing.assert_close(gradient(layer, maps, "bfloat16"), expected, rtol=1e-5, atol=1e-3)


def test_a_copy_has_layers_of_its_own():
    layer = torch.nn.Conv3d(1, 1, 3, padding=1)
    thin_maps_in_float32(layer)
    other = copy.deepcopy(layer)
    torch.nn.init.zeros_(other.weight)
    torch.nn.init.zeros_(other.bias)
    assert not other(torch.ones(1, 1, 2, 2, 2)).any()


@pytest.mark.parametrize("seed", range(4))
def test_a_network_whose_lowest_maps_are_thin_has_finite_gradients(seed):
    torch.manual_seed(seed)
    network = UNet3Plus(3, 2, 2, features=(16, 32, 64, 64, 64), skip_channels=4)
    network = network.to(memory_format=torch.channels_last_3d)
    thin_maps_in_float32(network)
    with torch.autocast("cpu", torch.bfloat16):
        output = network(torch.randn(2, 2, 16, 16, 16))
    output.float().square().mean().backward()
    for name, weights in network.named_parameters():
        assert torch.isfinite(weights.grad).all(), name
