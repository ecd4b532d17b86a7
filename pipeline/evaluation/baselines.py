"""What is reached without a network: the marks that a result is read against."""

from collections.abc import Iterable

import torch

from pipeline.evaluation.overlap import METRICS, count
from pipeline.evaluation.threshold import LEVELS, ThresholdCurve

Pair = tuple[torch.Tensor, torch.Tensor]
"""An image and its mask, of one shape."""


def constant_answer(pairs: Iterable[Pair]) -> dict[str, float]:
    """Score the answer 'all foreground' on every image, as means over images.

    Example:
        >>> constant_answer([(torch.zeros(4), torch.tensor([1, 1, 1, 0]))])["accuracy"]
        0.75
    """
    counts = [count(torch.ones_like(truth), truth) for _, truth in pairs]
    return {name: sum(metric(c) for c in counts) / len(counts) for name, metric in METRICS.items()}


def best_intensity_threshold(
    pairs: Iterable[Pair], metric: str = "accuracy"
) -> tuple[float, float]:
    """Find the one intensity threshold that scores best on these very images.

    An upper bound for a global threshold, bright or dark side, since it is chosen on the images
    that it is scored on.

    Args:
        pairs: images with intensities in [0, 255].
        metric: ``iou``, ``dice`` or ``accuracy``.

    Returns:
        The threshold in [0, 255] and the metric there.
    """
    bright, dark = ThresholdCurve(), ThresholdCurve()
    for image, truth in pairs:
        bright.add(image / (LEVELS - 1), truth)
        dark.add(1 - image / (LEVELS - 1), truth)
    better = max((bright, dark), key=lambda curve: curve.values(metric).max())
    return better.best(metric) * (LEVELS - 1), float(better.values(metric).max())
