"""The metrics of ``pipeline.metrics`` and the loss, as Ignite collects them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from ignite.metrics import Average, Metric, MetricsLambda
from monai.engines.utils import IterationEvents
from monai.handlers import from_engine
from monai.utils import CommonKeys

from pipeline.metrics.overlap import METRICS, SOFT, count
from pipeline.networks import most_refined
from pipeline.training.weight_map import takes_weights, weights_of


class ImageScores(Metric):
    """The scores of every label of every image (crop, in training), in the order of ``NAMES``.

    IoU, Dice and accuracy are at probability 1/2; soft IoU and soft Dice are of probabilities. Of a
    network with several heads, the most refined one is scored.

    Args:
        further: maps that a network gives after those of its labels, as distances; not scored.
    """

    def __init__(self, further: int = 0) -> None:
        self.further = further
        super().__init__(output_transform=from_engine([CommonKeys.PRED, CommonKeys.LABEL]))

    def reset(self) -> None:
        """Forget all images."""
        self.images: list[list[float]] = []

    def update(self, output: tuple[Any, torch.Tensor | list[torch.Tensor]]) -> None:
        """Add the images of a batch, given as tensors or as lists of images."""
        prediction, truths = output
        if isinstance(truths, torch.Tensor):
            prediction = most_refined(prediction)
        for logits, truth in zip(prediction, truths, strict=True):
            labels = len(logits) - self.further
            pairs = zip(logits[:labels].detach(), truth[:labels], strict=True)
            self.images += [_scores(label, true) for label, true in pairs]

    def compute(self) -> list[list[float]]:
        """Return the scores of all labels of all images since the last reset, of all processes."""
        if idist.get_world_size() == 1:
            return self.images
        gathered: torch.Tensor = idist.all_gather(torch.tensor(self.images, device=idist.device()))
        return gathered.tolist()


NAMES = (*METRICS, *SOFT)
"""Names of the scores of every training, which tracking shows."""


def image_metrics(further: int = 0) -> dict[str, MetricsLambda]:
    """Return the mean of each score over images and labels, scoring each image once.

    Args:
        further: maps of the network after those of its labels; not scored.
    """
    scores = ImageScores(further)
    return {name: MetricsLambda(partial(_mean, k), scores) for k, name in enumerate(NAMES)}


def _scores(logits: torch.Tensor, truth: torch.Tensor) -> list[float]:
    counts = count(logits >= 0, truth)
    probability = logits.float().sigmoid()
    return [
        *(metric(counts) for metric in METRICS.values()),
        *(metric(probability, truth) for metric in SOFT.values()),
    ]


def _mean(position: int, images: list[list[float]]) -> float:
    return sum(scores[position] for scores in images) / len(images)


class TrainingLoss(Average):
    """Mean of the loss over the iterations of an epoch."""

    def __init__(self) -> None:
        super().__init__(output_transform=lambda output: output[CommonKeys.LOSS].item())


class EvaluationLoss:
    """Mean over batches of the training's loss function, computed by an evaluator.

    It reads the logits right after the forward pass, before postprocessing replaces them.

    Args:
        loss_function: takes logits, truth and, where the batch holds one, the weight map.
    """

    def __init__(self, loss_function: Callable[..., torch.Tensor]) -> None:
        self.loss_function = loss_function
        self.weighted = takes_weights(loss_function)
        self.losses: list[float] = []

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator; the result is its metric ``loss``."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._reset)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self._add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._store)

    def _reset(self) -> None:
        self.losses = []

    def _add(self, engine: Engine) -> None:
        output = engine.state.output
        maps = weights_of(engine.state.batch, engine.state.device) if self.weighted else ()
        loss = self.loss_function(output[CommonKeys.PRED], output[CommonKeys.LABEL], *maps)
        self.losses.append(loss.item())

    def _store(self, engine: Engine) -> None:
        engine.state.metrics["loss"] = sum(self.losses) / len(self.losses)
