"""A moving average of the weights, which is validated and becomes the model."""

import ignite.distributed as idist
import torch
import torch.distributed as dist
from ignite.engine import Engine, Events
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import PARAM_LIST, AveragedModel, get_ema_multi_avg_fn

from pipeline.training.checkpoints import bare


def averaged(network: torch.nn.Module, decay: float = 0.999) -> AveragedModel:
    """Return a copy of a network that will hold the exponential moving average of its weights.

    After the n-th step (counted from 0) the average is ``d average + (1 - d) weights`` with
    ``d = min(decay, (1 + n) / (10 + n))``, so that the first weights, which are random, are soon
    forgotten (as ``tf.train.ExponentialMovingAverage`` with ``num_updates``; Polyak and Juditsky,
    SIAM J. Control Optim. 1992, for the average). A short training is averaged over its last tenth,
    a long one over about ``1 / (1 - decay)`` steps.

    The running statistics of batch norm are averaged with the weights, and not copied: they are of
    the weights of the last steps, and would be wrong for the average.

    Args:
        network: on its device, with the weights that training begins with.
        decay: largest d, in [0, 1].

    Raises:
        ValueError: a decay outside of [0, 1].

    Example:
        >>> average = averaged(torch.nn.Linear(2, 1))
        >>> average(torch.zeros(3, 2)).shape
        torch.Size([3, 1])
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"ema_decay: found {decay}, expected a number from 0 to 1, as 0.999")

    def average(averages: PARAM_LIST, weights: PARAM_LIST, steps: torch.Tensor | int) -> None:
        get_ema_multi_avg_fn(decay_at(int(steps), decay))(averages, weights, steps)

    return AveragedModel(bare(network), multi_avg_fn=average, use_buffers=True)


def decay_at(step: int, decay: float) -> float:
    """Return the decay after a step, counted from 0.

    Example:
        >>> [decay_at(step, 0.99) for step in (0, 8, 10_000)]
        [0.1, 0.5, 0.99]
    """
    return min(decay, (1 + step) / (10 + step))


class AverageWeights:
    """Update the average after each step.

    Processes on CPU cores have running statistics of their own; before an epoch is validated, all
    get those of the first, which saves the model.

    Args:
        network: that is trained, replicated or not.
        average: see :func:`averaged`.
    """

    def __init__(
        self, network: torch.nn.Module | DistributedDataParallel, average: AveragedModel
    ) -> None:
        self.network, self.average = bare(network), average

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer, before its validation."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._update)
        if idist.get_world_size() > 1:
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._share)

    def _update(self) -> None:
        self.average.update_parameters(self.network)

    def _share(self) -> None:
        for buffer in self.average.module.buffers():
            dist.broadcast(buffer, src=0)
