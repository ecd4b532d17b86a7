import numpy as np
import torch

from pipeline.explanation.maps import Correlations, Redundancy, mean_maps, redundancy, resize_map
from pipeline.networks import UNet, feature_maps


def test_the_mean_over_channels():
    map_ = torch.stack([torch.zeros(4, 4), torch.full((4, 4), 2.0)])[None]
    assert torch.equal(mean_maps({"bottleneck": map_}, 8)["bottleneck"], torch.ones(8, 8).double())


def test_of_a_volume_the_middle_slice_is_drawn():
    volume = torch.zeros(4, 6, 5)
    volume[..., 2] = torch.arange(4.0)[:, None]
    picture = resize_map(volume, 8)
    assert picture.shape == (8, 8)
    assert (picture[0].diff() >= 0).all(), "the first axis runs from left to right"
    assert picture[0, -1] == 3


def correlations(maps):
    sums = Correlations()
    for features in maps:
        sums.add(features)
    return sums.matrix()


def test_correlations_are_those_of_numpy():
    maps = [torch.randn(1, 5, 8, 8), torch.randn(1, 5, 4, 6)]
    pixels = np.concatenate([each[0].flatten(1).numpy() for each in maps], 1)
    assert np.allclose(correlations(maps).numpy(), np.corrcoef(pixels), atol=1e-6)


def test_duplicated_filters_are_reported():
    network = UNet(2, 1, 1, features=(6, 8), dropout=0.0)
    convolution = network.encoder[0]
    last = [m for m in convolution.modules() if isinstance(m, torch.nn.Conv2d)][-1]
    with torch.no_grad():
        last.weight[3], last.bias[3] = 2 * last.weight[0], 2 * last.bias[0]
        last.weight[5], last.bias[5] = last.weight[0], last.bias[0]
        last.weight[1].zero_()
        last.bias[1] = -1.0
    maps = feature_maps(network, torch.randn(1, 1, 32, 32), ["encoder1"])
    counts = redundancy(correlations([maps["encoder1"]]))
    assert (counts.channels, counts.silent) == (6, 1)
    assert counts.pairs == 3, "0, 3 and 5 are correlated"
    assert counts.distinct == 3


def test_a_chain_is_not_one_family():
    matrix = torch.tensor([[1.0, 0.96, 0.9], [0.96, 1.0, 0.96], [0.9, 0.96, 1.0]])
    assert redundancy(matrix) == Redundancy(channels=3, silent=0, pairs=2, distinct=2)
