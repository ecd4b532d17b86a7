"""V_rand and V_info: similarity of two partitions into segments, by pairs and by information."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from pipeline.metrics.contingency import Label, contingency_table


class RandScores(NamedTuple):
    """Similarity of two partitions over the foreground of the truth; 1 is perfect.

    Attributes:
        v_rand: F-score of ``v_rand_split`` and ``v_rand_merge``.
        v_rand_split: share of the pixel pairs in one true segment that the prediction keeps
            together.
        v_rand_merge: share of the pixel pairs in one predicted segment that are together in truth.
        v_info: F-score of ``v_info_split`` and ``v_info_merge``.
        v_info_split: mutual information over the prediction's entropy.
        v_info_merge: mutual information over the truth's entropy.
    """

    v_rand: float
    v_rand_split: float
    v_rand_merge: float
    v_info: float
    v_info_split: float
    v_info_merge: float


def rand_scores(truth: Label, prediction: Label) -> RandScores:
    """Compare two partitions as the ISBI 2012 challenge does.

    Let p_ij be the share of the pixels that lie in segment i of the prediction and in segment j of
    the truth, and s_i and t_j its sums; pixels of true background are left out. Then
    (Arganda-Carreras et al., Frontiers in Neuroanatomy 2015, equations 1 to 5, alpha = 1/2)::

        V_rand = sum p_ij^2 / (sum s_i^2 / 2 + sum t_j^2 / 2)
        V_info = I(S; T) / (H(S) / 2 + H(T) / 2)

    Each predicted background pixel is a segment of its own. (scikit-image's ``adapted_rand_error``
    takes the predicted background as one segment, and leaves out the pairs of a pixel with itself,
    which the equations contain.)

    Args:
        truth: ``(*spatial)``, a number for each segment, 0 for background.
        prediction: segment numbers of the same shape.

    Raises:
        ValueError: different shapes, or numbers that are not whole.

    Example:
        >>> rand_scores(np.array([1, 1, 2, 2]), np.array([1, 1, 1, 1])).v_rand  # 8 / (16/2 + 8/2)
        0.6666666666666666
    """
    return rand_scores_of(contingency_table(truth, prediction))


def rand_scores_of(table: NDArray[np.int64]) -> RandScores:
    """Compare two partitions by their table of shared pixels, as :func:`rand_scores` does.

    Example:
        >>> rand_scores_of(contingency_table(np.array([1, 1]), np.array([1, 2]))).v_rand_split
        0.5
    """
    shared = table[1:].astype(np.float64)
    n = shared.sum()
    if n == 0:
        return RandScores(*[1.0] * 6)
    single = np.full(int(shared[:, 0].sum()), 1.0)
    joint = np.concatenate([shared[:, 1:][shared[:, 1:] > 0], single]) / n
    predicted = np.concatenate([shared[:, 1:].sum(0), single]) / n
    true = shared.sum(1) / n
    pairs, h_predicted, h_true = (joint**2).sum(), _entropy(predicted), _entropy(true)
    information = max(0.0, h_predicted + h_true - _entropy(joint))
    return RandScores(
        float(2 * pairs / ((predicted**2).sum() + (true**2).sum())),
        float(pairs / (true**2).sum()),
        float(pairs / (predicted**2).sum()),
        _ratio(2 * information, h_predicted + h_true),
        _ratio(information, h_predicted),
        _ratio(information, h_true),
    )


def thinned(segments: Label) -> Label:
    """Grow segments until no background is left, so that the width of borders does not matter.

    Each background pixel joins the nearest segment (Euclidean). The challenge's own script floods
    from the segments instead. Both grow the segments evenly; they differ by a pixel where three
    segments meet.

    Shapes: ``(*spatial)`` in and out; a label without any segment is returned as it is.

    Example:
        >>> thinned(np.array([1, 0, 0, 0, 2])).tolist()
        [1, 1, 1, 2, 2]
    """
    if not segments.any():
        return segments
    nearest = distance_transform_edt(segments == 0, return_distances=False, return_indices=True)
    grown: Label = segments[tuple(nearest)]
    return grown


def _entropy(shares: NDArray[np.float64]) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 1e-12 else 1.0
