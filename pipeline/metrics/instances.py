"""Metrics of labelled instances: matched, missed, merged and split ones."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from pipeline.metrics.contingency import Label, contingency_table
from pipeline.metrics.rand import rand_scores_of

IOUS = tuple(0.5 + 0.05 * k for k in range(10))
"""Intersections over union from which on two instances match: 0.5, 0.55, …, 0.95."""


class Matches(NamedTuple):
    """Predicted instances against the true ones.

    Attributes:
        tp: number of pairs of a true and a predicted instance that match.
        fp: number of predicted instances without a match.
        fn: number of true instances without a match.
        iou_sum: sum of the IoU over the matching pairs.
    """

    tp: int
    fp: int
    fn: int
    iou_sum: float


class Confusions(NamedTuple):
    """Instances that a prediction merges or splits.

    Attributes:
        merges: boundaries lost, k - 1 for a predicted instance that takes k true ones together.
        splits: boundaries invented, k - 1 for a true instance that is predicted as k.
    """

    merges: int
    splits: int


def match(shared: NDArray[np.int64], iou: float = 0.5) -> Matches:
    """Match the instances whose intersection over union is more than ``iou``.

    Above 1/2 no instance can match two others, so no assignment has to be solved.

    Args:
        shared: table of shared pixels from :func:`contingency_table`.
        iou: limit, 1/2 or more.

    Raises:
        ValueError: an ``iou`` below 1/2.

    Example:
        >>> match(contingency_table(np.array([1, 1, 2, 0]), np.array([5, 5, 0, 6])))
        Matches(tp=1, fp=1, fn=1, iou_sum=1.0)
    """
    return _match(shared, _ious(shared), iou)


def _ious(shared: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the intersection over union of each two instances that share a pixel."""
    true, predicted = np.nonzero(shared[1:, 1:])
    both = shared[1 + true, 1 + predicted]
    union = shared.sum(1)[1 + true] + shared.sum(0)[1 + predicted] - both
    ratio: NDArray[np.float64] = both / union
    return ratio


def _match(shared: NDArray[np.int64], ious: NDArray[np.float64], iou: float) -> Matches:
    if not 0.5 <= iou < 1:
        raise ValueError(
            f"iou: found {iou}, expected 0.5 to 1; below 0.5 an instance could match two others"
        )
    matched = ious[ious > iou]
    tp, (rows, columns) = len(matched), shared.shape
    return Matches(tp, columns - 1 - tp, rows - 1 - tp, float(matched.sum()))


def f1(matches: Matches) -> float:
    """2 TP / (2 TP + FP + FN); 1 when there is no instance at all.

    Example:
        >>> f1(Matches(tp=1, fp=1, fn=1, iou_sum=0.9))
        0.5
    """
    instances = 2 * matches.tp + matches.fp + matches.fn
    return 2 * matches.tp / instances if instances else 1.0


def panoptic_quality(matches: Matches) -> float:
    """Sum of the matches' IoU / (TP + FP/2 + FN/2) (Kirillov et al. 2019); 1 without instances.

    Example:
        >>> panoptic_quality(Matches(tp=1, fp=1, fn=1, iou_sum=0.9))
        0.45
    """
    instances = matches.tp + (matches.fp + matches.fn) / 2
    return matches.iou_sum / instances if instances else 1.0


def over_ious(shared: NDArray[np.int64], metric: Callable[[Matches], float]) -> float:
    """Mean of a metric of matches over the IoUs 0.5, 0.55, …, 0.95.

    Args:
        shared: table of shared pixels from :func:`contingency_table`.
        metric: function of the matches; :func:`instance_precision` gives the score of the 2018 Data
            Science Bowl.

    Example:
        >>> truth, prediction = np.array([1] * 10), np.array([1] * 8 + [0] * 2)  # an IoU of 0.8
        >>> round(over_ious(contingency_table(truth, prediction), instance_precision), 2)
        0.6
    """
    ious = _ious(shared)
    return float(np.mean([metric(_match(shared, ious, iou)) for iou in IOUS]))


def instance_precision(matches: Matches) -> float:
    """TP / (TP + FP + FN); 1 when there is no instance at all.

    Its mean over IoUs is what the field calls average precision. (In object detection the same name
    means the area under a curve over confidences; a segmentation has no confidences.)

    Example:
        >>> round(instance_precision(Matches(tp=1, fp=1, fn=1, iou_sum=0.9)), 3)
        0.333
    """
    instances = matches.tp + matches.fp + matches.fn
    return matches.tp / instances if instances else 1.0


INSTANCE_METRICS = {"f1": f1, "pq": panoptic_quality}
"""Metrics of matches that a threshold can be chosen by; higher is better."""


def confusions(shared: NDArray[np.int64]) -> Confusions:
    """Count merges and splits.

    A predicted instance takes a true one when it covers more than half of it, and a true instance
    takes a predicted one by the same rule. An instance that takes k counts as k - 1 errors.

    Args:
        shared: table of shared pixels from :func:`contingency_table`.

    Example:
        >>> confusions(contingency_table(np.array([1, 1, 2, 2]), np.array([4, 4, 4, 4])))
        Confusions(merges=1, splits=0)
        >>> confusions(contingency_table(np.array([1, 1, 1, 1]), np.array([4, 4, 0, 6])))
        Confusions(merges=0, splits=1)
    """
    both = shared[1:, 1:]
    true_taken = 2 * both > shared.sum(1)[1:, None]
    predicted_taken = 2 * both > shared.sum(0)[None, 1:]
    return Confusions(_beyond_one(true_taken.sum(0)), _beyond_one(predicted_taken.sum(1)))


def touching(label: Label) -> int:
    """Count the instances that touch another one, along an axis or a diagonal.

    Example:
        >>> touching(np.array([[1, 2, 0, 3]]))
        2
    """
    inside = label > 0
    highest = maximum_filter(label, 3, mode="constant")
    lowest = minimum_filter(np.where(inside, label, highest.max() + 1), 3, mode="nearest")
    return len(np.unique(label[inside & ((highest != label) | (lowest != label))]))


def instance_scores(truth: Label, prediction: Label) -> dict[str, float]:
    """Return all instance scores of one image.

    F1 and panoptic quality at IoU 0.5, average precision and F1 over IoUs from 0.5 to 0.95, merges,
    splits, V_rand (:func:`pipeline.metrics.rand.rand_scores`), and the number of true instances
    that touch another one.

    Args:
        truth: instance label, ``(H, W)``.
        prediction: instance label of the same shape.

    Example:
        >>> row = np.array([[1, 1, 2, 2]])
        >>> scores = instance_scores(row, row)
        >>> scores["f1"], scores["merges"], scores["touching"]
        (1.0, 0, 2)
    """
    shared = contingency_table(truth, prediction)
    matches, merged_or_split = match(shared), confusions(shared)
    return {
        **{name: metric(matches) for name, metric in INSTANCE_METRICS.items()},
        "ap": over_ious(shared, instance_precision),
        "f1_over_ious": over_ious(shared, f1),
        "v_rand": rand_scores_of(shared).v_rand,
        "merges": merged_or_split.merges,
        "splits": merged_or_split.splits,
        "touching": touching(truth),
    }


def per_hundred_touching(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Merges and splits of all images together, for each 100 true instances that touch another.

    Example:
        >>> per_hundred_touching([{"merges": 3, "splits": 1, "touching": 20}])
        {'merges_per_100_touching': 15.0, 'splits_per_100_touching': 5.0}
    """
    touching_instances = sum(row["touching"] for row in rows)
    return {
        f"{name}_per_100_touching": 100 * sum(row[name] for row in rows) / touching_instances
        for name in (("merges", "splits") if touching_instances else ())
    }


def _beyond_one(taken: NDArray[np.int64]) -> int:
    """Sum over instances of the number taken less one, at least 0."""
    return int(np.maximum(taken - 1, 0).sum())
