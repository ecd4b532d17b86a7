"""Overlap of two masks, from the four counts of their pixels, or from probabilities."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray


class Counts(NamedTuple):
    """Numbers of pixels of a prediction against the truth; or arrays of them, for many thresholds.

    Attributes:
        tp: pixels that are predicted and true.
        fp: pixels that are predicted and not true.
        fn: pixels that are true and not predicted.
        tn: pixels that are neither.
    """

    tp: int
    fp: int
    fn: int
    tn: int


def count(prediction: torch.Tensor, truth: torch.Tensor) -> Counts:
    """Count the pixels of two masks; those whose truth is below 0 are left out.

    Shapes: both the same, any number of axes. Of the prediction non-zero is foreground, of the
    truth what is above 0.

    Raises:
        ValueError: different shapes.

    Example:
        >>> count(torch.tensor([1, 1, 0, 0]), torch.tensor([1, 0, 1, 0]))
        Counts(tp=1, fp=1, fn=1, tn=1)
        >>> count(torch.tensor([1, 1, 0, 0]), torch.tensor([1, -1, -1, 0]))
        Counts(tp=1, fp=0, fn=0, tn=1)
    """
    if prediction.shape != truth.shape:
        raise ValueError(
            f"prediction of shape {tuple(prediction.shape)}, truth of {tuple(truth.shape)}; "
            "expected one shape"
        )
    counted, true = truth >= 0, truth > 0
    predicted = prediction.bool() & counted
    # a sum of a mask first makes each pixel a number of 64 bits
    both, predictions, truths, pixels = (
        int(torch.count_nonzero(mask)) for mask in (predicted & true, predicted, true, counted)
    )
    fp, fn = predictions - both, truths - both
    return Counts(both, fp, fn, pixels - both - fp - fn)


def count_arrays(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Counts:
    """Count the pixels of two masks that are arrays, as :func:`count` does."""
    return count(torch.from_numpy(prediction), torch.from_numpy(truth))


def of_background(counts: Counts) -> Counts:
    """Exchange foreground and background, so that each metric measures the background.

    Where the foreground is the inside of cells, the background is the membrane.

    Example:
        >>> iou(of_background(Counts(tp=6, fp=1, fn=1, tn=2)))
        0.5
    """
    return Counts(counts.tn, counts.fn, counts.fp, counts.tp)


def iou(counts: Counts) -> float:
    """Intersection over union, tp / (tp + fp + fn); 1 when both masks are empty.

    Example:
        >>> iou(Counts(tp=1, fp=1, fn=2, tn=0))
        0.25
    """
    return _ratio(counts.tp, counts.tp + counts.fp + counts.fn)


def dice(counts: Counts) -> float:
    """Dice coefficient, 2 tp / (2 tp + fp + fn); 1 when both masks are empty.

    Example:
        >>> dice(Counts(tp=1, fp=1, fn=1, tn=0))
        0.5
    """
    return _ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn)


def accuracy(counts: Counts) -> float:
    """Share of pixels that agree, (tp + tn) / all.

    Example:
        >>> accuracy(Counts(tp=1, fp=0, fn=1, tn=2))
        0.75
    """
    return _ratio(counts.tp + counts.tn, sum(counts))


def sensitivity(counts: Counts) -> float:
    """Share of the true foreground that is predicted, tp / (tp + fn); 1 when there is none.

    Example:
        >>> sensitivity(Counts(tp=3, fp=0, fn=1, tn=0))
        0.75
    """
    return _ratio(counts.tp, counts.tp + counts.fn)


def specificity(counts: Counts) -> float:
    """Share of the true background that is not predicted, tn / (tn + fp); 1 when there is none.

    Example:
        >>> specificity(Counts(tp=0, fp=1, fn=0, tn=3))
        0.75
    """
    return _ratio(counts.tn, counts.tn + counts.fp)


def precision(counts: Counts) -> float:
    """Share of the predicted foreground that is true, tp / (tp + fp); 1 when there is none.

    Example:
        >>> precision(Counts(tp=1, fp=3, fn=0, tn=0))
        0.25
    """
    return _ratio(counts.tp, counts.tp + counts.fp)


def soft_dice(probability: torch.Tensor, truth: torch.Tensor) -> float:
    """Dice coefficient of probabilities, 2 sum p y / (sum p + sum y); 1 when both are 0.

    Pixels whose truth is below 0 are left out.

    Example:
        >>> soft_dice(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0]))
        0.5
    """
    both, predicted, true = _soft_sums(probability, truth)
    return _ratio(2 * both, predicted + true)


def soft_iou(probability: torch.Tensor, truth: torch.Tensor) -> float:
    """IoU of probabilities, sum p y / (sum p + sum y - sum p y); 1 when both are 0.

    The paper of the ten experiments defines its "iou" so, in training and in its tables. A network
    that is right but unsure gets a lower score than its mask.

    Pixels whose truth is below 0 are left out.

    Example:
        >>> soft_iou(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0]))  # 0.5 / (1 + 1 - 0.5)
        0.3333333333333333
    """
    both, predicted, true = _soft_sums(probability, truth)
    return float(_ratio(both, predicted + true - both))


def _soft_sums(probability: torch.Tensor, truth: torch.Tensor) -> tuple[float, float, float]:
    """Return the sums of p y, of p and of y over the pixels that count."""
    counted, true = probability.float().masked_fill(truth < 0, 0), truth > 0
    return float(counted[true].sum()), float(counted.sum()), float(torch.count_nonzero(true))


def counted_pixels(
    probability: torch.Tensor, truth: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return probability and truth (0 or 1) of the pixels that count, in double precision.

    Pixels whose truth is below 0 are left out.

    Example:
        >>> counted_pixels(torch.tensor([0.5, 0.7]), torch.tensor([1, -1]))[1].tolist()
        [1.0]
    """
    counted = truth >= 0
    if counted.all():  # where every pixel counts, none need be looked for
        return probability.flatten().double(), (truth.flatten() > 0).double()
    return probability[counted].double(), (truth[counted] > 0).double()


METRICS: dict[str, Callable[[Counts], float]] = {"iou": iou, "dice": dice, "accuracy": accuracy}
"""Metrics of every training and evaluation, by the names that tracking shows."""

FURTHER = {"sensitivity": sensitivity, "specificity": specificity, "precision": precision}
"""Further metrics of every evaluation."""

SOFT = {"soft_iou": soft_iou, "soft_dice": soft_dice}
"""Metrics of probabilities, without a threshold."""


def _ratio(part: Any, whole: Any) -> Any:
    """Divide numbers, or arrays of them; 1 where the whole is 0."""
    if isinstance(whole, np.ndarray):
        return np.divide(part, whole, out=np.ones(whole.shape), where=whole != 0)
    return part / whole if whole else 1.0
