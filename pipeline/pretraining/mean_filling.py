"""What the simplest answer would lose, beside which a pretraining shows whether it learns."""

from collections.abc import Callable
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys
from tqdm import tqdm

from pipeline.training.weight_map import weights_of

MEAN_LOSS = "loss_of_mean"
"""Metric of validation: the loss of filling in the mean of what is seen."""


class MeanFilling:
    """Measure the loss of filling in the mean of what is seen, which is what the network is given.

    It is the same at each validation, and is said once.

    Args:
        loss: of training, see :class:`pipeline.losses.MaskedL1Loss`.
    """

    def __init__(self, loss: Callable[..., torch.Tensor]) -> None:
        self.loss = loss
        self.losses: list[float] = []
        self.is_said = False

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator; the result is its metric ``loss_of_mean``."""
        engine.add_event_handler(Events.EPOCH_STARTED, self.losses.clear)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self._add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._store)

    def _add(self, engine: Engine) -> None:
        output: dict[str, Any] = engine.state.output
        mask = weights_of(engine.state.batch, engine.state.device)
        loss = self.loss(output[CommonKeys.IMAGE], output[CommonKeys.LABEL], *mask)
        self.losses.append(loss.item())

    def _store(self, engine: Engine) -> None:
        mean = sum(self.losses) / len(self.losses)
        engine.state.metrics[MEAN_LOSS] = mean
        if not (self.is_said or idist.get_rank()):
            tqdm.write(f"filling in the mean of what is seen has a validation loss of {mean:.4f}")
        self.is_said = True
