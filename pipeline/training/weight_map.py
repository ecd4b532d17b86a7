"""Handing a batch's weight map to the loss."""

from typing import Any

import torch
from monai.engines import SupervisedTrainer

WEIGHT = "weight"
"""The key under which a batch holds its map of pixel weights."""


def weights_of(batch: Any, device: torch.device) -> tuple[torch.Tensor, ...]:
    """The batch's map on the device, as further arguments of a loss; none where it has no map."""
    return (batch[WEIGHT].to(device),) if WEIGHT in batch else ()


def weighted_iteration(engine: SupervisedTrainer, batch: dict[str, torch.Tensor]) -> dict[str, Any]:
    """MONAI's training step with ``loss(prediction, label, weight)``.

    For ``SupervisedTrainer(iteration_update=…)``: its own step has no place for a third argument.
    A batch without a map is trained as ever.
    """
    plain = engine.loss_function
    maps = weights_of(batch, engine.state.device)
    engine.loss_function = lambda prediction, label: plain(prediction, label, *maps)
    try:
        output: dict[str, Any] = engine._iteration(engine, batch)
        return output
    finally:
        engine.loss_function = plain
