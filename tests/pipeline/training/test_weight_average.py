import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from pipeline.training.weight_average import AverageWeights, averaged, decay_at


def steps(network, average, values):
    """Set the only weight to one value after another, and average after each."""
    handler = AverageWeights(network, average)
    for value in values:
        network.weight.data.fill_(value)
        handler._update()
    return average.module.weight.item()


def test_the_average_by_hand():
    """The decay rises as 1 / 10, 2 / 11, …; the weights before the first step do not count."""
    network = nn.Linear(1, 1)
    average = averaged(network, decay=0.999)
    expected = 3.0
    for step, value in enumerate((5.0, 1.0), start=1):
        decay = (1 + step) / (10 + step)
        expected = decay * expected + (1 - decay) * value
    assert steps(network, average, (3.0, 5.0, 1.0)) == pytest.approx(expected)
    assert decay_at(10**6, 0.999) == 0.999


def test_a_decay_outside_of_its_range_is_refused():
    with pytest.raises(ValueError, match=r"ema_decay: found 1\.5, expected a number from 0 to 1"):
        averaged(nn.Linear(1, 1), decay=1.5)


def test_the_network_that_is_averaged_is_another_one():
    network = nn.Linear(1, 1)
    average = averaged(network)
    network.weight.data.fill_(7)
    assert average.module.weight.item() != 7


def wander(use_buffers):
    """Train a convolution whose bias wanders; return how wrong the average's statistics are.

    The moments of an average are those of a batch that passes its convolution.
    """
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    average = averaged(network, decay=0.98)
    if not use_buffers:
        average = AveragedModel(network, multi_avg_fn=average.multi_avg_fn, use_buffers=False)
    handler = AverageWeights(network, average)
    images = torch.randn(64, 1, 12, 12)
    for _ in range(400):
        network[0].bias.data += 0.05
        network(images[torch.randint(64, (8,))])
        handler._update()
    convolution, norm = average.module
    with torch.no_grad():
        moments = convolution(images).mean(dim=(0, 2, 3))
    return (norm.running_mean - moments).abs().max().item()


def test_running_statistics_are_averaged_since_copies_are_of_other_weights():
    averages, copies = wander(use_buffers=True), wander(use_buffers=False)
    assert copies > 1.5  # 40 to 50 steps of 0.05 ahead
    assert averages < 0.6  # the running mean itself is 10 steps behind
