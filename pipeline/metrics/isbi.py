"""Metrics of the ISBI 2012 challenge, as the challenge and the papers define them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label as connected_components

from pipeline.metrics.checks import check_probability
from pipeline.metrics.contingency import Label
from pipeline.metrics.overlap import accuracy, count_arrays, dice
from pipeline.metrics.rand import rand_scores, thinned
from pipeline.metrics.warping import warping

THRESHOLDS = np.arange(11) / 10
"""Thresholds of the challenge: 0, 0.1, …, 1."""

HIGHER_IS_BETTER = {  # the scores that have a best threshold of their own
    "v_rand_thinned": True, "v_info_thinned": True, "v_rand": True, "v_info": True,
    "rand_error": False, "pixel_error": False, "pixel_error_f": False, "warping_error": False,
}  # fmt: skip


def isbi_scores(
    mask: NDArray[np.bool_], truth: NDArray[np.bool_], segments: Label | None = None
) -> dict[str, float]:
    """Score the mask of one slice, whose foreground is the inside of cells.

    Segments are the face-connected components of each mask, unless the predicted ones are given.
    Pixels of a true membrane are left out of all Rand and information scores.

    ==================  ==========================================================================
    v_rand_thinned      V_rand with the predicted membranes thinned away; ranks the challenge
    v_info_thinned      V_info with the predicted membranes thinned away
    v_rand, v_info      without thinning: each predicted membrane pixel is a segment of its own
    rand_error          1 - v_rand; the first U-Net's .0382 is this, at the best threshold
    pixel_error         1 - accuracy, at one threshold; unet-isbi-mane-mittal's .0828 is this
    pixel_error_f       1 - F-score of the foreground pixels; the first U-Net's .0611 is this, at
                        the best threshold
    warping_error       splits, mergers and lost cells for each pixel, after bending the truth
    warping_splits      cells that are cut in two, after bending
    warping_mergers     cells that are joined, after bending
    warping_lost        cells of which nothing is predicted
    warping_remaining   share of the pixels that still differ after bending (Jain et al. 2010)
    ==================  ==========================================================================

    Args:
        mask: predicted mask, ``(H, W)``.
        truth: true mask, ``(H, W)``.
        segments: predicted, ``(H, W)``, a number for each; None: the components of the mask. The
            errors of pixels and of warping are of the mask.

    Raises:
        ValueError: different shapes, or not two axes.

    Example:
        >>> truth = np.ones((4, 9), bool)
        >>> truth[:, 4] = False
        >>> scores = isbi_scores(truth, truth)
        >>> scores["v_rand_thinned"], scores["pixel_error"], scores["warping_error"]
        (1.0, 0.0, 0.0)
    """
    mask, truth = mask.astype(bool), truth.astype(bool)
    bent = warping(truth, mask)
    counts = count_arrays(mask, truth)
    segments = connected_components(mask)[0] if segments is None else segments
    true_segments = connected_components(truth)[0]
    plain = rand_scores(true_segments, segments)
    thin = rand_scores(true_segments, thinned(segments))
    return {
        "v_rand_thinned": thin.v_rand,
        "v_info_thinned": thin.v_info,
        "v_rand": plain.v_rand,
        "v_info": plain.v_info,
        "rand_error": 1 - plain.v_rand,
        "pixel_error": 1 - accuracy(counts),
        "pixel_error_f": 1 - dice(counts),
        "warping_error": bent.error,
        "warping_splits": bent.splits,
        "warping_mergers": bent.mergers,
        "warping_lost": bent.lost,
        "warping_remaining": bent.remaining,
    }


class IsbiCurve:
    """Scores of a stack at each threshold, as means over its slices.

    The challenge chooses the threshold with the best mean over the slices, and reports the score of
    the same slices. :meth:`best` does so too, and is therefore optimistic.

    Example:
        >>> truth = np.ones((4, 9), bool)
        >>> truth[:, 4] = False
        >>> curve = IsbiCurve()
        >>> curve.add(np.where(truth, 0.7, 0.4), truth)
        >>> curve.best()["v_rand_thinned"]
        {'value': 1.0, 'threshold': 0.5}
    """

    def __init__(self) -> None:
        self.rows: list[list[dict[str, float]]] = []

    def add(self, probability: NDArray[np.floating], truth: NDArray[np.bool_]) -> None:
        """Add a slice: the probability of foreground, ``(H, W)``, and its truth.

        Raises:
            ValueError: different shapes, or a probability outside [0, 1] or NaN.
        """
        check_probability(probability)
        # in float32 a tenth can lie below its float64, and 0.3 has to count as at least 0.3
        near = probability.astype(np.float64) + 1e-7
        self.rows.append([isbi_scores(near >= threshold, truth) for threshold in THRESHOLDS])

    def values(self, name: str) -> NDArray[np.float64]:
        """Return one score at each of :data:`THRESHOLDS`, as mean over the slices."""
        return np.mean([[scores[name] for scores in row] for row in self.rows], axis=0)

    def best(self) -> Mapping[str, Mapping[str, float]]:
        """Return each score at its own best threshold; of equal ones at the nearest to 1/2."""
        out: dict[str, dict[str, Any]] = {}
        for name, higher in HIGHER_IS_BETTER.items():
            values = self.values(name)
            ties = THRESHOLDS[values == (values.max() if higher else values.min())]
            threshold = float(ties[np.argmin(np.abs(ties - 0.5))])
            value = float(values[threshold == THRESHOLDS][0])
            out[name] = {"value": value, "threshold": threshold}
        return out
