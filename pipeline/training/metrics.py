"""The metrics of ``pipeline.evaluation`` and the loss, as Ignite collects them."""

from collections.abc import Callable

import torch
from ignite.engine import Engine, Events
from ignite.metrics import Average, Metric
from monai.engines.utils import IterationEvents
from monai.handlers import from_engine
from monai.utils import CommonKeys

from pipeline.evaluation.overlap import METRICS, Counts, count


class ImageMean(Metric):
    """Mean over images (over crops, in training) of a metric, cut at probability 1/2.

    Args:
        metric: ``iou``, ``dice`` or ``accuracy``.
    """

    def __init__(self, metric: str) -> None:
        self.metric: Callable[[Counts], float] = METRICS[metric]
        super().__init__(output_transform=from_engine([CommonKeys.PRED, CommonKeys.LABEL]))

    def reset(self) -> None:
        """Forget all images."""
        self.values: list[float] = []

    def update(self, output: tuple[torch.Tensor, torch.Tensor]) -> None:
        """Add the images of a batch, given as a tensor or as a list of images."""
        for logits, truth in zip(*output, strict=True):
            self.values.append(self.metric(count(logits.detach() >= 0, truth)))

    def compute(self) -> float:
        """Return the mean over all images since the last reset."""
        return sum(self.values) / len(self.values)


def image_metrics() -> dict[str, ImageMean]:
    """Return IoU, Dice and accuracy under the names that tracking shows, for one engine."""
    return {name: ImageMean(name) for name in METRICS}


class TrainingLoss(Average):
    """Mean of the loss over the iterations of an epoch."""

    def __init__(self) -> None:
        super().__init__(output_transform=lambda output: float(output[CommonKeys.LOSS]))


class EvaluationLoss:
    """Mean over batches of the training's loss function, computed by an evaluator.

    It reads the logits right after the forward pass, before postprocessing replaces them.

    Args:
        loss_function: takes logits and truth.
    """

    def __init__(self, loss_function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        self.loss_function = loss_function
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
        loss = self.loss_function(output[CommonKeys.PRED], output[CommonKeys.LABEL])
        self.losses.append(float(loss))

    def _store(self, engine: Engine) -> None:
        engine.state.metrics["loss"] = sum(self.losses) / len(self.losses)
