"""The papers' parameter counts, of full-size networks that hold no memory."""

import pytest
import torch

from pipeline.networks import (
    UNet,
    UNet3Plus,
    UNetPlusPlus,
    andersen_unet,
    magicians_unet,
    mane_mittal_unet,
    ronneberger_unet,
    ten_experiments_unet,
)

HALVED = (32, 64, 128, 256, 512)


def parameters(network):
    return sum(weight.numel() for weight in network.parameters())


def with_running_statistics(network):
    statistics = [b.numel() for n, b in network.named_buffers() if "running" in n]
    return parameters(network) + sum(statistics)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: UNet(2, 1, 1), 31_030_593),
        (lambda: UNet(2, 1, 2), 31_030_658),
        (lambda: UNet(2, 1, 1, norm="batch"), 31_042_369),
        (lambda: UNet(2, 1, 1, features=(16, 32, 64, 128, 256)), 1_940_817),
        (lambda: UNet(2, 1, 1, features=HALVED), 7_759_521),
        (lambda: UNet(2, 1, 1, features=(35, 70, 140, 280, 560)), 9_282_246),
        (ronneberger_unet, 31_030_658),
        (andersen_unet, 7_765_409),
        # two 3 x 3 convolutions of 64 channels more: 31,030,593 + 2 (64 * 64 * 9 + 64)
        (mane_mittal_unet, 31_104_449),
        (lambda: ten_experiments_unet(16, norm=None), 1_940_817),
        (lambda: UNetPlusPlus(2, 1, 1), 9_041_601),
        (lambda: UNetPlusPlus(2, 1, 1, deep_supervision=True), 9_041_700),
        (lambda: UNet3Plus(2, 3, 1), 26_971_777),
        (lambda: UNet3Plus(2, 1, 1), 26_970_625),
        (lambda: UNet3Plus(2, 3, 1, deep_supervision=True), 26_989_637),
        (lambda: UNet3Plus(2, 1, 1, deep_supervision=True), 26_988_485),
        (
            lambda: UNet3Plus(2, 3, 1, deep_supervision=True, classification_guided=True),
            26_991_687,
        ),
        (
            lambda: UNet3Plus(2, 1, 1, deep_supervision=True, classification_guided=True),
            26_990_535,
        ),
    ],
)
def test_parameters(build, expected):
    with torch.device("meta"):
        assert parameters(build()) == expected


def test_magicians_parameters():
    down = 8 * 25 + 8  # 5 x 5 kernels on one channel
    for above, channels in ((8, 16), (16, 32), (32, 64), (64, 128), (128, 128)):
        down += above * channels * 9 + channels
    up = 0
    for below, channels in ((128, 128), (128, 64), (64, 32), (32, 16), (16, 8)):
        up += below * channels * 4 + channels  # 2 x 2 transposed
        up += 2 * channels * channels * 9 + channels
    with torch.device("meta"):
        assert parameters(magicians_unet()) == down + up + 8 + 1  # and the 1 x 1 head


@pytest.mark.parametrize(
    ("last_norm", "expected"),
    [(True, 31_054_145), (False, 31_054_145 - 4 * 64)],  # scale, shift and two statistics
)
def test_ten_experiments_count_the_running_statistics(last_norm, expected):
    with torch.device("meta"):
        assert with_running_statistics(ten_experiments_unet(64, last_norm=last_norm)) == expected


@pytest.mark.parametrize(
    ("level", "expected"), [(1, 100_961), (2, 511_105), (3, 2_204_961), (4, 9_041_601)]
)
def test_pruned_parameters(level, expected):
    network = UNetPlusPlus(2, 1, 1, deep_supervision=True)
    assert parameters(network.pruned(level)) == expected
