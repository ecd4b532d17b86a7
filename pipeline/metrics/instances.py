"""How far two labellings agree cell by cell: found, missed, merged and split."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from pipeline.metrics.rand import agreement
from pipeline.metrics.contingency import Label, contingency_table

IOUS = tuple(0.5 + 0.05 * k for k in range(10))


class Matches(NamedTuple):
    """Cells of a prediction against those of the truth.

    Attributes:
        tp: pairs of a true and a predicted cell that match.
        fp: predicted cells without a match.
        fn: true cells without a match.
        iou_sum: over the matching pairs.
    """

    tp: int
    fp: int
    fn: int
    iou_sum: float


class Confusions(NamedTuple):
    """Cells that are told apart wrongly.

    Attributes:
        merges: boundaries lost, k - 1 for a predicted cell that takes k true ones together.
        splits: boundaries invented, k - 1 for a true cell that is predicted as k.
    """

    merges: int
    splits: int


def match(shared: NDArray[np.int64], iou: float = 0.5) -> Matches:
    """Match the cells whose intersection over union is more than ``iou``.

    From 1/2 on no cell can match two, so nothing has to be assigned.

    Args:
        shared: as :func:`contingency_table` returns it.
        iou: at least 1/2.

    Raises:
        ValueError: an ``iou`` below 1/2.

    Example:
        >>> match(contingency_table(np.array([1, 1, 2, 0]), np.array([5, 5, 0, 6])))
        Matches(tp=1, fp=1, fn=1, iou_sum=1.0)
    """
    if not 0.5 <= iou < 1:
        raise ValueError(f"iou: found {iou}, expected 0.5 to 1; below, a cell could match two")
    both = shared[1:, 1:]
    union = shared.sum(1)[1:, None] + shared.sum(0)[None, 1:] - both
    ratio = both / union
    matched = ratio[ratio > iou]
    tp = len(matched)
    return Matches(tp, both.shape[1] - tp, both.shape[0] - tp, float(matched.sum()))


def f1(matches: Matches) -> float:
    """2 TP / (2 TP + FP + FN); 1 when there are no cells at all.

    Example:
        >>> f1(Matches(tp=1, fp=1, fn=1, iou_sum=0.9))
        0.5
    """
    cells = 2 * matches.tp + matches.fp + matches.fn
    return 2 * matches.tp / cells if cells else 1.0


def panoptic_quality(matches: Matches) -> float:
    """Sum of the matches' IoU / (TP + FP/2 + FN/2) (Kirillov et al. 2019); 1 without cells.

    Example:
        >>> panoptic_quality(Matches(tp=1, fp=1, fn=1, iou_sum=0.9))
        0.45
    """
    cells = matches.tp + (matches.fp + matches.fn) / 2
    return matches.iou_sum / cells if cells else 1.0


def over_ious(shared: NDArray[np.int64], metric: Callable[[Matches], float]) -> float:
    """Mean of a metric of matches over the IoUs 0.5, 0.55, …, 0.95.

    Args:
        shared: as :func:`contingency_table` returns it.
        metric: :func:`precision_of_cells` gives the score of the 2018 Data Science Bowl.

    Example:
        >>> shared = contingency_table(np.array([1] * 10), np.array([1] * 8 + [0] * 2))  # an IoU of 0.8
        >>> round(over_ious(shared, precision_of_cells), 2)
        0.6
    """
    return float(np.mean([metric(match(shared, iou)) for iou in IOUS]))


def precision_of_cells(matches: Matches) -> float:
    """TP / (TP + FP + FN); 1 when there are no cells at all.

    The field calls its mean over IoUs average precision. (Object detection calls another quantity
    so, an area under a curve over confidences, which a segmentation has none of.)

    Example:
        >>> round(precision_of_cells(Matches(tp=1, fp=1, fn=1, iou_sum=0.9)), 3)
        0.333
    """
    cells = matches.tp + matches.fp + matches.fn
    return matches.tp / cells if cells else 1.0


INSTANCE_METRICS = {"f1": f1, "pq": panoptic_quality}
"""What the matches of cells are judged by, higher for better."""


def confusions(shared: NDArray[np.int64]) -> Confusions:
    """Count merges and splits.

    A predicted cell takes a true one when it covers more than half of it; a true cell takes a
    predicted one likewise. One that takes k makes k - 1 mistakes.

    Args:
        shared: as :func:`contingency_table` returns it.

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
    """Count the cells that touch another, along an axis or a diagonal.

    Example:
        >>> touching(np.array([[1, 2, 0, 3]]))
        2
    """
    inside = label > 0
    highest = maximum_filter(label, 3, mode="constant")
    lowest = minimum_filter(np.where(inside, label, highest.max() + 1), 3, mode="nearest")
    return len(np.unique(label[inside & ((highest != label) | (lowest != label))]))


def instance_scores(truth: Label, prediction: Label) -> dict[str, float]:
    """Return everything that is told of one image's cells.

    F1 and panoptic quality at IoU 0.5, average precision and F1 from 0.5 to 0.95, merges, splits,
    V_rand (:func:`pipeline.metrics.rand.agreement`), and how many true cells touch another.

    Args:
        truth: ``(H, W)``.
        prediction: the same.

    Example:
        >>> row = np.array([[1, 1, 2, 2]])
        >>> scores = instance_scores(row, row)
        >>> scores["f1"], scores["merges"], scores["touching"]
        (1.0, 0, 2)
    """
    shared = contingency_table(truth, prediction)
    matches, wrong = match(shared), confusions(shared)
    return {
        **{name: metric(matches) for name, metric in INSTANCE_METRICS.items()},
        "ap": over_ious(shared, precision_of_cells),
        "f1_over_ious": over_ious(shared, f1),
        "v_rand": agreement(truth, prediction).v_rand,
        "merges": wrong.merges,
        "splits": wrong.splits,
        "touching": touching(truth),
    }


def per_hundred_touching(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Merges and splits of all images together, for each 100 true cells that touch another.

    Example:
        >>> per_hundred_touching([{"merges": 3, "splits": 1, "touching": 20}])
        {'merges_per_100_touching': 15.0, 'splits_per_100_touching': 5.0}
    """
    cells = sum(row["touching"] for row in rows)
    kinds = ("merges", "splits") if cells else ()
    return {f"{k}_per_100_touching": 100 * sum(row[k] for row in rows) / cells for k in kinds}


def _beyond_one(taken: NDArray[np.int64]) -> int:
    return int(np.maximum(taken - 1, 0).sum())
