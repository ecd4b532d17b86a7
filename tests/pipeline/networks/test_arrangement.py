"""The networks against the benchmark's plain implementation of them."""

import importlib.util
from pathlib import Path

import pytest
import torch

from pipeline.networks import UNet3Plus, UNetPlusPlus


@pytest.fixture(scope="module")
def benchmark():
    path = Path(__file__).parents[3] / "benchmarks" / "networks.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_networks", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_unet_plus_plus_is_the_nested_u_with_concatenations(benchmark):
    torch.manual_seed(0)
    features = (2, 3, 4, 5, 6)
    network = UNetPlusPlus(2, 1, 1, features, deep_supervision=True)
    benchmark.check_equal(network, benchmark.PlainUNetPlusPlus(features), 32, "cpu")


def test_unet_3_plus_is_the_full_scale_network_with_concatenations(benchmark):
    torch.manual_seed(0)
    features = (2, 3, 4, 5, 6)
    network = UNet3Plus(2, 1, 1, features, skip_channels=2, deep_supervision=True)
    for weight in network.parameters():
        weight.data += 0.1 * torch.randn_like(weight)  # the norms' scales and shifts too
    benchmark.check_equal(network, benchmark.PlainUNet3Plus(features, 2), 64, "cpu")
