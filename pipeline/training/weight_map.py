"""Handing a batch's weight map to the loss."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from monai.engines import SupervisedTrainer

from pipeline.losses import DeepSupervisionLoss, IgnoringLoss
from pipeline.training.plain_tensors import plain

WEIGHT = "weight"
"""The key under which a batch holds its map of pixel weights."""


def takes_weights(loss: Callable[..., torch.Tensor]) -> bool:
    """Whether a loss takes a weight map after prediction and truth; others train without one."""
    if isinstance(loss, DeepSupervisionLoss | IgnoringLoss):
        return takes_weights(loss.loss)
    call = loss.forward if isinstance(loss, torch.nn.Module) else loss
    parameters = list(inspect.signature(call).parameters.values())
    kinds = {parameter.kind for parameter in parameters}
    return inspect.Parameter.VAR_POSITIONAL in kinds or len(parameters) > 2


def weights_of(batch: Any, device: torch.device) -> tuple[torch.Tensor, ...]:
    """The batch's map on the device, as further arguments of a loss; none where it has no map."""
    return (plain(batch[WEIGHT]).to(device),) if WEIGHT in batch else ()


def weighted_iteration(engine: SupervisedTrainer, batch: dict[str, torch.Tensor]) -> dict[str, Any]:
    """MONAI's training step with ``loss(prediction, label, weight)``.

    For ``SupervisedTrainer(iteration_update=…)``: its own step has no place for a third argument.
    A batch without a map is trained as ever.
    """
    loss = engine.loss_function
    maps = weights_of(batch, engine.state.device)
    engine.loss_function = lambda prediction, label: loss(prediction, label, *maps)
    try:
        output: dict[str, Any] = engine._iteration(engine, batch)
        return output
    finally:
        engine.loss_function = loss
