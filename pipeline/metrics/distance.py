"""Distances between the surfaces of two masks; a missed structure counts and is never dropped."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

from pipeline.metrics.boxes import box_around

ROUNDING = 1e-9
"""Part of a tolerance by which a distance of exactly that length may be computed above it."""
FOUND, BOTH_EMPTY, MISSED, INVENTED = "found", "both empty", "missed", "invented"


class SurfaceDistance(NamedTuple):
    """Distances between two surfaces, in the unit of the spacing.

    Attributes:
        hd95: Hausdorff distance, 95th percentile: the larger of the two directions' percentiles.
        asd: average symmetric surface distance: the mean over the pixels of both surfaces.
        dice: surface Dice: the share of both surfaces that lies within a tolerance of the other
            one; None: there is no tolerance.
        outcome: ``found``; ``both empty``, distance 0; ``missed``, nothing predicted of something;
            or ``invented``, something predicted of nothing. The last two cost the penalty.
    """

    hd95: float
    asd: float
    dice: float | None
    outcome: str


def surface_distance(
    prediction: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    spacing: Sequence[float] | None = None,
    tolerance: float | None = None,
) -> SurfaceDistance:
    """Measure the distances between the surfaces of two masks.

    A surface is made of the mask's pixels that have a face towards the outside. Distances go from
    pixel centre to pixel centre. Where one mask is empty and the other is not, both distances are
    the image's diagonal, since no answer inside the image can be farther away. (MONAI gives NaN
    there and drops it from the mean, so the mean over nothing but misses is a perfect 0.)

    The surface Dice at a tolerance t is (pixels of the predicted surface up to t away from the true
    one + the same the other way round) / (pixels of both surfaces), of Nikolov et al. 2021
    (https://doi.org/10.2196/26151), with pixels of the surface in place of areas. It is 1 where
    both masks are empty, and 0 where one is.

    Args:
        prediction: predicted mask, ``(*spatial)``.
        truth: true mask, of the same shape.
        spacing: size of a pixel along each axis, mm; None: distances are in pixels.
        tolerance: of the surface Dice, in the unit of the distances; None: it is not measured.

    Raises:
        ValueError: different shapes, a spacing of another length, or a negative tolerance.

    Example:
        >>> row = np.zeros((1, 10), bool)
        >>> one, other = row.copy(), row.copy()
        >>> one[0, 2], other[0, 5] = True, True
        >>> surface_distance(one, other, spacing=(1.0, 0.5), tolerance=1.5)
        SurfaceDistance(hd95=1.5, asd=1.5, dice=1.0, outcome='found')
        >>> surface_distance(row, other).outcome, surface_distance(row, other).hd95 > 9
        ('missed', True)
    """
    if prediction.shape != truth.shape:
        raise ValueError(
            f"prediction of shape {prediction.shape}, truth of {truth.shape}; expected one shape"
        )
    sizes = [1.0] * truth.ndim if spacing is None else list(spacing)
    if len(sizes) != truth.ndim:
        raise ValueError(
            f"spacing: found {len(sizes)} numbers for an image of {truth.ndim} dimensions; give "
            "one for each"
        )
    if tolerance is not None and tolerance < 0:
        raise ValueError(f"tolerance: found {tolerance:g}; expected a distance, 0 or more")
    prediction, truth = (mask.astype(bool, copy=False) for mask in (prediction, truth))
    if not prediction.any() and not truth.any():
        return SurfaceDistance(0.0, 0.0, None if tolerance is None else 1.0, BOTH_EMPTY)
    if not prediction.any() or not truth.any():
        penalty = math.hypot(*(side * size for side, size in zip(truth.shape, sizes, strict=True)))
        outcome = MISSED if truth.any() else INVENTED
        return SurfaceDistance(penalty, penalty, None if tolerance is None else 0.0, outcome)
    box = box_around(prediction | truth)  # outside it there is no surface
    first, second = (_surface(mask[box]) for mask in (prediction, truth))
    there, back = _distances(first, second, sizes)
    hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
    asd = (there.sum() + back.sum()) / (len(there) + len(back))
    dice = None if tolerance is None else _share_within(tolerance, there, back)
    return SurfaceDistance(float(hd95), float(asd), dice, FOUND)


def _share_within(tolerance: float, *distances: NDArray[np.float64]) -> float:
    most = tolerance * (1 + ROUNDING)
    within = sum(int(np.count_nonzero(d <= most)) for d in distances)
    return within / sum(map(len, distances))


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    inner = np.zeros_like(mask)
    core = (slice(1, -1),) * mask.ndim
    inner[core] = mask[core]
    for axis in range(mask.ndim):
        for neighbours in (slice(None, -2), slice(2, None)):
            inner[core] &= mask[(*core[:axis], neighbours, *core[axis + 1 :])]
    return mask & ~inner


def _distances(
    first: NDArray[np.bool_], second: NDArray[np.bool_], sizes: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distance of each pixel of a surface to the other surface, for both."""
    if _is_dense(first, second):
        to_first, to_second = (distance_transform_edt(~mask, sizes) for mask in (first, second))
        return to_second[first], to_first[second]
    points = [np.argwhere(mask) * np.asarray(sizes) for mask in (first, second)]
    # pixels lie evenly: medians and tight boxes of the nodes cost more than they save
    trees = [KDTree(place, balanced_tree=False, compact_nodes=False) for place in points]
    return trees[1].query(points[0])[0], trees[0].query(points[1])[0]


def _is_dense(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> bool:
    """Whether the surfaces hold so many pixels, as of noise, that a map of distances is cheaper."""
    pixels = np.count_nonzero(first) + np.count_nonzero(second)
    return pixels * 2**first.ndim > first.size
