"""Scores of segments that a threshold can be chosen by."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label as connected_components

from pipeline.metrics.contingency import Label, contingency_table
from pipeline.metrics.instances import INSTANCE_METRICS, match
from pipeline.metrics.rand import rand_scores, thinned

SegmentScores = Callable[[Label, Label], Mapping[str, float]]
"""From true and predicted segments to their scores by name."""


def instance_metrics(truth: Label, prediction: Label) -> dict[str, float]:
    """Return F1 and panoptic quality at IoU 0.5.

    Args:
        truth: ``(*spatial)``, a number for each instance, 0 for background.
        prediction: of the same shape.

    Raises:
        ValueError: different shapes, or numbers that are not whole.

    Example:
        >>> instance_metrics(np.array([1, 1, 2, 2]), np.array([5, 5, 0, 0]))["f1"]  # 2 / (2 + 1)
        0.6666666666666666
    """
    matches = match(contingency_table(truth, prediction))
    return {name: metric(matches) for name, metric in INSTANCE_METRICS.items()}


def partition_metrics(truth: Label, prediction: Label) -> dict[str, float]:
    """Return V_rand with the predicted background thinned away.

    It ranks the ISBI 2012 challenge, and is ``v_rand_thinned`` of
    :func:`pipeline.metrics.isbi.isbi_scores`, in any dimension.

    Args:
        truth: ``(*spatial)``, a number for each segment, 0 for background.
        prediction: of the same shape.

    Raises:
        ValueError: different shapes, or numbers that are not whole.

    Example:
        >>> partition_metrics(np.array([1, 1, 0, 2, 2]), np.array([1, 0, 0, 0, 2]))
        {'v_rand_thinned': 1.0}
    """
    return {"v_rand_thinned": rand_scores(truth, thinned(prediction)).v_rand}


SEGMENT_SCORES: Mapping[str, SegmentScores] = {
    **dict.fromkeys(INSTANCE_METRICS, instance_metrics),
    "v_rand_thinned": partition_metrics,
}
"""By the name of a score, the function that gives it."""

PARTITION_METRICS = ("v_rand_thinned",)
"""Metrics of any mask, whose components are its segments; higher is better."""


def segment_score(name: str, truth: Label, prediction: Label) -> float:
    """Return one of :data:`SEGMENT_SCORES`.

    Example:
        >>> segment_score("f1", np.array([1, 1, 2, 2]), np.array([5, 5, 0, 0]))  # 2 / (2 + 1)
        0.6666666666666666
    """
    return SEGMENT_SCORES[name](truth, prediction)[name]


def segments(mask: NDArray[np.bool_]) -> Label:
    """Return the face-connected components of a mask, ``(*spatial)``, from 1, and 0 outside.

    Example:
        >>> segments(np.array([[True, False, True]])).tolist()
        [[1, 0, 2]]
    """
    numbers: Label = connected_components(mask)[0]
    return numbers
