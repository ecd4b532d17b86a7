"""Distances between the surfaces of two masks; a missed structure counts and is never dropped."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt, generate_binary_structure

FOUND, BOTH_EMPTY, MISSED, INVENTED = "found", "both empty", "missed", "invented"


class SurfaceDistance(NamedTuple):
    """Distances between two surfaces, in the unit of the spacing.

    Attributes:
        hd95: Hausdorff distance, 95th percentile: the larger of the two directions' percentiles.
        asd: average symmetric surface distance: the mean over the pixels of both surfaces.
        outcome: ``found``; ``both empty``, distance 0; ``missed``, nothing predicted of something;
            or ``invented``, something predicted of nothing. The last two cost the penalty.
    """

    hd95: float
    asd: float
    outcome: str


def surface_distance(
    prediction: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    spacing: Sequence[float] | None = None,
) -> SurfaceDistance:
    """Measure the distances between the surfaces of two masks.

    A surface is made of the mask's pixels that have a face towards the outside. Distances go from
    pixel centre to pixel centre. Where one mask is empty and the other is not, both distances are
    the image's diagonal, since no answer inside the image can be farther away. (MONAI gives NaN
    there and drops it from the mean, so the mean over nothing but misses is a perfect 0.)

    Args:
        prediction: predicted mask, ``(*spatial)``.
        truth: true mask, of the same shape.
        spacing: size of a pixel along each axis, mm; None: distances are in pixels.

    Raises:
        ValueError: different shapes, or a spacing of another length.

    Example:
        >>> row = np.zeros((1, 10), bool)
        >>> one, other = row.copy(), row.copy()
        >>> one[0, 2], other[0, 5] = True, True
        >>> surface_distance(one, other, spacing=(1.0, 0.5))
        SurfaceDistance(hd95=1.5, asd=1.5, outcome='found')
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
    if not prediction.any() and not truth.any():
        return SurfaceDistance(0.0, 0.0, BOTH_EMPTY)
    if not prediction.any() or not truth.any():
        penalty = math.hypot(*(side * size for side, size in zip(truth.shape, sizes, strict=True)))
        return SurfaceDistance(penalty, penalty, MISSED if truth.any() else INVENTED)
    surfaces = [_surface(mask.astype(bool)) for mask in (prediction, truth)]
    box = _around(surfaces[0] | surfaces[1])
    first, second = (surface[box] for surface in surfaces)
    there = distance_transform_edt(~second, sizes)[first]
    back = distance_transform_edt(~first, sizes)[second]
    hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
    asd = (there.sum() + back.sum()) / (len(there) + len(back))
    return SurfaceDistance(float(hd95), float(asd), FOUND)


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    faces = generate_binary_structure(mask.ndim, 1)
    inner: NDArray[np.bool_] = binary_erosion(mask, faces)
    return mask & ~inner


def _around(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Return the smallest box around a mask; distances in it are those in the image."""
    places = np.nonzero(mask)
    return tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in places)
