"""Giving a network its weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def load_weights(network: torch.nn.Module, weights: Mapping[str, Any], path: Path) -> None:
    """Give a network its weights.

    Raises:
        ValueError: they belong to another network; names the first difference.
    """
    expected = network.state_dict()
    for name in [*expected, *weights]:
        here = tuple(expected[name].shape) if name in expected else "absent"
        there = tuple(weights[name].shape) if name in weights else "absent"
        if here != there:
            raise ValueError(
                f"{path}: weights of another network: {name} is {there} there and {here} in this "
                "config; give the config that it was trained with"
            )
    network.load_state_dict(weights)
