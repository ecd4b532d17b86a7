"""Loading weights into a network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def load_weights(network: torch.nn.Module, weights: Mapping[str, Any], path: Path) -> None:
    """Load weights into a network.

    Args:
        network: network that takes the weights.
        weights: its state dictionary.
        path: file of the weights, for the message.

    Raises:
        ValueError: weights of another network; the message names the first difference.
    """
    expected = network.state_dict()
    for name in [*expected, *weights]:
        of_network = tuple(expected[name].shape) if name in expected else "absent"
        of_file = tuple(weights[name].shape) if name in weights else "absent"
        if of_network != of_file:
            raise ValueError(
                f"{path}: weights of another network: {name} is {of_file} in the file and "
                f"{of_network} in this config; give the config that it was trained with"
            )
    network.load_state_dict(weights)
