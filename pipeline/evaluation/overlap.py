"""How far two masks agree, from the four counts of their pixels."""

from typing import NamedTuple

import torch


class Counts(NamedTuple):
    """Pixels of a prediction against the truth.

    Attributes:
        tp: predicted and true.
        fp: predicted, not true.
        fn: true, not predicted.
        tn: neither.
    """

    tp: int
    fp: int
    fn: int
    tn: int


def count(prediction: torch.Tensor, truth: torch.Tensor) -> Counts:
    """Count the pixels of two masks.

    Shapes: both the same, any number of axes; non-zero is foreground.

    Raises:
        ValueError: different shapes.

    Example:
        >>> count(torch.tensor([1, 1, 0, 0]), torch.tensor([1, 0, 1, 0]))
        Counts(tp=1, fp=1, fn=1, tn=1)
    """
    if prediction.shape != truth.shape:
        raise ValueError(
            f"prediction of shape {tuple(prediction.shape)}, truth of {tuple(truth.shape)}; "
            "expected one shape"
        )
    predicted, true = prediction.bool(), truth.bool()
    tp = int((predicted & true).sum())
    fp, fn = int(predicted.sum()) - tp, int(true.sum()) - tp
    return Counts(tp, fp, fn, predicted.numel() - tp - fp - fn)


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


METRICS = {"iou": iou, "dice": dice, "accuracy": accuracy}
"""The metrics of every bundle, under the names that tracking shows."""


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
