"""The gradients of kernels that are larger than their maps are those of float32."""

import pytest
import torch

from pipeline.networks import UNet3Plus, UNetPlusPlus
from pipeline.training.thin_maps import ThinMapsInFloat32


@pytest.fixture
def foreign_memory_is_nan():
    """New memory holds NaN, so that a result shows whether foreign memory was read for it."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


def gradient(layer, maps, precision):
    layer.zero_grad()
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")
    with autocast, ThinMapsInFloat32():
        convolved = layer(maps)
    convolved.float().square().sum().backward()
    return layer.weight.grad


@pytest.mark.parametrize(("kernel", "slices"), [(3, 1), (3, 2), (5, 2), (5, 3), (5, 4), (7, 3)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_a_map_with_fewer_slices_than_the_kernel(kernel, slices, layout):
    torch.manual_seed(0)
    layer = torch.nn.Conv3d(16, 16, kernel, padding=kernel // 2).to(memory_format=layout)
    maps = torch.randn(2, 16, slices, 4, 4).to(memory_format=layout)
    expected = gradient(layer, maps, "float32").clone()
    torch.testing.assert_close(gradient(layer, maps, "bfloat16"), expected, rtol=1e-5, atol=1e-3)


# a UNet++ convolves several maps with slices of one kernel, by a function and not by a layer
@pytest.mark.parametrize(
    "network",
    [
        lambda: UNet3Plus(3, 2, 2, features=(16, 32, 64, 64, 64), skip_channels=4),
        lambda: UNetPlusPlus(3, 2, 2, features=(2, 2, 2, 2, 2), deep_supervision=True),
    ],
    ids=["UNet3Plus", "UNetPlusPlus"],
)
def test_a_network_whose_lowest_maps_are_thin_has_finite_gradients(network, foreign_memory_is_nan):
    for seed in range(6):
        torch.manual_seed(seed)
        made = network().to(memory_format=torch.channels_last_3d)
        with torch.autocast("cpu", torch.bfloat16), ThinMapsInFloat32():
            heads = made(torch.randn(2, 2, 16, 16, 16).to(memory_format=torch.channels_last_3d))
        heads = [heads] if isinstance(heads, torch.Tensor) else heads
        sum(head.float().square().mean() for head in heads).backward()
        for name, weights in made.named_parameters():
            assert weights.grad is None or torch.isfinite(weights.grad).all(), (seed, name)
