"""What is reached without a network: the marks that a result is read against."""

from collections.abc import Iterable, Sequence

import torch

from pipeline.evaluation.threshold import LEVELS, ThresholdCurve
from pipeline.metrics.overlap import METRICS, Counts, count

Pair = tuple[torch.Tensor, torch.Tensor]
"""An image and its mask, of one shape."""


def constant_answer(pairs: Iterable[Pair]) -> dict[str, float]:
    """Score the answer 'all foreground' on every image, as means over images.

    Example:
        >>> constant_answer([(torch.zeros(4), torch.tensor([1, 1, 1, 0]))])["accuracy"]
        0.75
    """
    counts = []
    for _, truth in pairs:
        counts.append(count(torch.ones_like(truth, dtype=torch.bool), truth))
    return _means(counts)


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
    curves = _intensity_curves(pairs)
    better = max(curves, key=lambda curve: curve.values(metric).max())
    return better.best(metric) * (LEVELS - 1), float(better.values(metric).max())


def best_intensity_scores(pairs: Iterable[Pair]) -> dict[str, float]:
    """Return each metric at the one intensity threshold that is best for it on these very images.

    Upper bounds, as those of :func:`best_intensity_threshold`.

    Example:
        >>> image, truth = torch.tensor([9, 9, 1, 1]), torch.tensor([1, 1, 0, 0])
        >>> best_intensity_scores([(image, truth)])
        {'iou': 1.0, 'dice': 1.0, 'accuracy': 1.0}
    """
    curves = _intensity_curves(pairs)
    return {
        metric: max(float(curve.values(metric).max()) for curve in curves) for metric in METRICS
    }


def _intensity_curves(pairs: Iterable[Pair]) -> tuple[ThresholdCurve, ThresholdCurve]:
    """Return the curves of the bright and of the dark side."""
    bright, dark = ThresholdCurve(), ThresholdCurve()
    for image, truth in pairs:
        bright.add(image / (LEVELS - 1), truth)
        dark.add(1 - image / (LEVELS - 1), truth)
    return bright, dark


def average_mask(masks: Iterable[torch.Tensor]) -> torch.Tensor:
    """Return the mask that is on where at least half of the masks are.

    Args:
        masks: of one shape, non-zero is foreground.

    Example:
        >>> average_mask([torch.tensor([1, 1, 0]), torch.tensor([1, 0, 0])]).tolist()
        [True, True, False]
    """
    return torch.stack([mask.bool().float() for mask in masks]).mean(0) >= 0.5


def fixed_answer(answer: torch.Tensor, tested: Iterable[torch.Tensor]) -> dict[str, float]:
    """Score one mask as the answer to every image, as means over images.

    Example:
        >>> fixed_answer(torch.tensor([1, 1]), [torch.tensor([1, 0])])["iou"]
        0.5
    """
    return _means([count(answer, truth) for truth in tested])


def mean_mask(training: Iterable[torch.Tensor], tested: Iterable[torch.Tensor]) -> float:
    """Score the one mask that is on where at least half of the training masks are.

    What a network must beat to have looked at the image at all.

    Args:
        training: masks of one shape, non-zero is foreground.
        tested: masks of the same shape.

    Returns:
        The mean IoU over the tested masks.

    Example:
        >>> mean_mask([torch.tensor([1, 1, 0]), torch.tensor([1, 0, 0])], [torch.tensor([1, 0, 0])])
        0.5
    """
    return fixed_answer(average_mask(training), tested)["iou"]


def pos_weight(masks: Iterable[torch.Tensor]) -> float:
    """Background pixels for each foreground pixel, over all masks.

    Example:
        >>> pos_weight([torch.tensor([1, 0, 0, 0])])
        3.0
    """
    pairs = [(int(mask.bool().sum()), mask.numel()) for mask in masks]
    inside = sum(foreground for foreground, _ in pairs)
    return (sum(pixels for _, pixels in pairs) - inside) / inside if inside else float("inf")


def _means(counts: Sequence[Counts]) -> dict[str, float]:
    return {name: sum(map(metric, counts)) / len(counts) for name, metric in METRICS.items()}
