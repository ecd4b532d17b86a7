"""The papers' parameter counts, of full-size networks that hold no memory."""

import pytest
import torch

from pipeline.networks import UNet, UNet3Plus, UNetPlusPlus
from tests.pipeline.networks.paper_networks import (
    ANDERSEN,
    ERICKSON_CAI,
    EXPERIMENT_1,
    EXPERIMENT_2,
    EXPERIMENT_6,
    HALVED,
    MANE_MITTAL,
    QUARTERED,
    RONNEBERGER,
)

DEEP = {"deep_supervision": True}
GUIDED = {"deep_supervision": True, "classification_guided": True}
COUNTS = [
    (UNet, {}, 31_030_593),
    (UNet, {"out_channels": 2}, 31_030_658),
    (UNet, {"norm": "batch"}, 31_042_369),
    (UNet, {"features": QUARTERED}, 1_940_817),
    (UNet, {"features": HALVED}, 7_759_521),
    (UNet, {"features": (35, 70, 140, 280, 560)}, 9_282_246),
    (UNet, RONNEBERGER, 31_030_658),
    (UNet, ANDERSEN, 7_765_409),
    # two 3 x 3 convolutions of 64 channels more: 31,030,593 + 2 (64 * 64 * 9 + 64)
    (UNet, MANE_MITTAL, 31_104_449),
    (UNet, EXPERIMENT_6, 1_940_817),
    (UNetPlusPlus, {}, 9_041_601),
    (UNetPlusPlus, DEEP, 9_041_700),
    (UNet3Plus, {"in_channels": 3}, 26_971_777),
    (UNet3Plus, {}, 26_970_625),
    (UNet3Plus, {"in_channels": 3, **DEEP}, 26_989_637),
    (UNet3Plus, DEEP, 26_988_485),
    (UNet3Plus, {"in_channels": 3, **GUIDED}, 26_991_687),
    (UNet3Plus, GUIDED, 26_990_535),
]


def full_size(build, arguments):
    with torch.device("meta"):
        return build(**{"spatial_dims": 2, "in_channels": 1, "out_channels": 1} | arguments)


def parameters(network):
    return sum(weight.numel() for weight in network.parameters())


def with_running_statistics(network):
    statistics = [b.numel() for n, b in network.named_buffers() if "running" in n]
    return parameters(network) + sum(statistics)


@pytest.mark.parametrize(("build", "arguments", "expected"), COUNTS)
def test_parameters(build, arguments, expected):
    assert parameters(full_size(build, arguments)) == expected


def test_parameters_of_erickson_and_cai():
    down = 8 * 25 + 8  # 5 x 5 kernels on one channel
    for above, channels in ((8, 16), (16, 32), (32, 64), (64, 128), (128, 128)):
        down += above * channels * 9 + channels
    up = 0
    for below, channels in ((128, 128), (128, 64), (64, 32), (32, 16), (16, 8)):
        up += below * channels * 4 + channels  # 2 x 2 transposed
        up += 2 * channels * channels * 9 + channels
    assert parameters(full_size(UNet, ERICKSON_CAI)) == down + up + 8 + 1  # and the 1 x 1 head


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (EXPERIMENT_1, 31_054_145),
        (EXPERIMENT_2, 31_054_145 - 4 * 64),  # scale, shift and two statistics
    ],
)
def test_the_ten_experiments_count_the_running_statistics(arguments, expected):
    assert with_running_statistics(full_size(UNet, arguments)) == expected


@pytest.mark.parametrize(
    ("level", "expected"), [(1, 100_961), (2, 511_105), (3, 2_204_961), (4, 9_041_601)]
)
def test_pruned_parameters(level, expected):
    network = UNetPlusPlus(2, 1, 1, deep_supervision=True)
    assert parameters(network.pruned(level)) == expected
