"""Probabilities in 8 bits, of which 255 stands for 1."""

from collections.abc import Iterable

import torch
from torch import Tensor

WHITE = 255
"""The number that stands for the probability 1 in 8 bits."""


def in_8_bits(probability: Tensor) -> Tensor:
    """Return probabilities as whole numbers, of which 255 stands for 1.

    What is at or above 1/2 stays so.

    Example:
        >>> in_8_bits(torch.tensor([0.0, 0.499, 0.5, 1.0])).tolist()
        [0, 127, 128, 255]
    """
    return probability.mul(WHITE).round_().to(torch.uint8)


def as_probability(output: Tensor) -> Tensor:
    """Return the probabilities, float32, of logits or of numbers in 8 bits.

    Example:
        >>> as_probability(torch.tensor([0.0]))
        tensor([0.5000])
        >>> as_probability(torch.tensor([255], dtype=torch.uint8))
        tensor([1.])
    """
    if output.dtype == torch.uint8:
        return output.float().div_(WHITE)
    return output.float().sigmoid()


def mean_in_8_bits(maps: Iterable[Tensor]) -> Tensor:
    """Return the mean of maps in 8 bits, of which one is in memory at a time.

    Example:
        >>> mean_in_8_bits(torch.tensor([[0], [255]], dtype=torch.uint8)).tolist()
        [128]
    """
    count, total = 0, torch.zeros((), dtype=torch.int16)
    for count, values in enumerate(maps, start=1):
        total = total.add_(values) if count > 1 else values.to(torch.int16)
    return total.add_(count // 2).div_(count, rounding_mode="floor").to(torch.uint8)
