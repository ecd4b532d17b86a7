"""How well a map separates pixels: area under the ROC curve, and Dice at the best threshold."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion, generate_binary_structure

BAND_SHARE = 1 / 64
"""Half the width of the boundary band, as a share of the image's shortest side."""


class Separation(NamedTuple):
    """How well the values of a map separate marked pixels from the others.

    Attributes:
        auc: probability that a marked pixel has a larger value than another one, ties half.
        dice: largest Dice of the pixels at or above any threshold with the marked ones.
    """

    auc: float
    dice: float


def separations(
    values: NDArray[np.float32], marks: NDArray[np.bool_], sign_free: bool = False
) -> tuple[Separation | None, ...]:
    r"""Return how well one map separates each of several sets of pixels.

    .. math:: AUC = P(v_i > v_j) + P(v_i = v_j) / 2, \quad
        Dice = \max_t \frac{2 |\{v \ge t\} \cap M|}{|\{v \ge t\}| + |M|}

    for a pixel i of the set M and another pixel j.

    Args:
        values: of the pixels, ``(N,)``.
        marks: for each set whether a pixel belongs to it, ``(sets, N)``.
        sign_free: whether the map may be turned over: the larger number of the map and its
            negative, so that an AUC is 0.5 or more.

    Returns:
        For each set its separation; None where all pixels belong to it, or none.

    Example:
        The two marked pixels have the values 3 and 1, the others 2 and 0: three of four pairs are
        in order, and from 1 on there are three pixels, two of them marked.

        >>> separations(np.float32([3, 2, 1, 0]), np.array([[True, False, True, False]]))
        (Separation(auc=0.75, dice=0.8),)
    """
    order = np.argsort(-values, kind="stable")
    descending = values[order]
    ends = np.append(np.flatnonzero(descending[1:] != descending[:-1]), len(values) - 1)
    taken = ends + 1  # pixels at or above each threshold
    return tuple(_separation(np.cumsum(mark[order])[ends], taken, sign_free) for mark in marks)


def _separation(
    hits: NDArray[np.int64], taken: NDArray[np.int64], sign_free: bool
) -> Separation | None:
    marked, others = int(hits[-1]), int(taken[-1] - hits[-1])
    if not marked or not others:
        return None
    auc = float(np.trapezoid(np.append(0, hits), np.append(0, taken - hits))) / (marked * others)
    dice = float((2 * hits / (taken + marked)).max())
    if not sign_free:
        return Separation(auc, dice)
    hits, taken = marked - np.append(0, hits), taken[-1] - np.append(0, taken)  # those below
    return Separation(max(auc, 1 - auc), max(dice, float((2 * hits / (taken + marked)).max())))


def boundary_band(region: NDArray[np.bool_], width: int | None = None) -> NDArray[np.bool_]:
    """Return the pixels near the boundary of a region, on both sides of it.

    They are those that ``width`` steps of dilation add and ``width`` steps of erosion take away, by
    the pixels that share a side. The image's border is no boundary.

    Args:
        region: ``spatial``.
        width: pixels of the band on each side; None: :data:`BAND_SHARE` of the shortest side.

    Example:
        >>> boundary_band(np.array([[0, 0, 1, 1, 1, 1]], bool), width=1).astype(int).tolist()
        [[0, 1, 1, 0, 0, 0]]
    """
    if width is None:
        width = max(1, round(BAND_SHARE * min(region.shape)))
    cross = generate_binary_structure(region.ndim, 1)
    outer = binary_dilation(region, cross, width)
    inner = binary_erosion(region, cross, width, border_value=1)
    return np.asarray(outer & ~inner)
