"""Reading checkpoints and giving a network its weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a file of tensors and plain values; nothing in it is executed.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not such a file, or a truncated one.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint; train first, or give its path")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"{path}: not a readable checkpoint ({reason}); restore it") from None
    return content


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
