"""Clipping the gradient of a step, and recording how large it was."""

import math

import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from torch.nn.utils import clip_grad_norm_


class ClipGradients:
    """Scale the gradient of all weights down to a largest norm.

    ``g <- g min(1, max_norm / |g|)`` with the Euclidean norm over all weights (Pascanu et al., ICML
    2013, algorithm 1). A gradient that was scaled for half precision is scaled back first. The mean
    norm of an epoch before clipping, and the share of its steps that were clipped, are metrics of
    the trainer: ``gradient_norm`` and ``clipped``.

    Args:
        max_norm: largest norm; nnU-Net has 12.
    """

    def __init__(self, max_norm: float) -> None:
        self.max_norm = max_norm
        self.norms: list[float] = []

    def attach(self, engine: SupervisedTrainer) -> None:
        """Attach to the trainer, before the handlers that record an epoch."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._reset)
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self._clip)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._store)

    def _reset(self) -> None:
        self.norms = []

    def _clip(self, engine: SupervisedTrainer) -> None:
        if engine.scaler is not None:
            engine.scaler.unscale_(engine.optimizer)
        norm = clip_grad_norm_(engine.network.parameters(), self.max_norm)
        if engine.scaler is None:
            self._check(engine, norm)
        self.norms.append(norm.item())

    def _check(self, engine: Engine, norm: torch.Tensor) -> None:
        """Refuse a gradient that would make all weights NaN; a scaler leaves such a step out."""
        if not norm.isfinite():
            raise ValueError(
                f"the norm of the gradient is {norm.item()} in epoch {engine.state.epoch}, "
                f"iteration {engine.state.iteration}; lower --learning_rate, or look for images "
                "with extreme values"
            )

    def _store(self, engine: Engine) -> None:
        finite = [norm for norm in self.norms if math.isfinite(norm)]
        if finite:
            engine.state.metrics["gradient_norm"] = sum(finite) / len(finite)
            engine.state.metrics["clipped"] = sum(n > self.max_norm for n in finite) / len(finite)
