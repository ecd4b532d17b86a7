"""Outlines of a mask as polygons, each hole joined to its outer outline by a keyhole."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import cdist
from skimage.measure import find_contours

HALF = 0.5
"""Between the pixels of the mask, 1, and those outside, 0."""

Polygon = NDArray[np.float64]
"""Vertices ``(N, 2)``, column and row, in pixels; the last one is joined to the first."""


def outlines(mask: NDArray[np.bool_]) -> list[Polygon]:
    """Return the outlines of the parts of a mask.

    They run between the centres of the pixels within and of those outside, at most half a pixel
    from the pixels' sides. Rasterised at the centres they give the mask again. A part is connected
    along the sides of its pixels. A hole is part of the outline around it: a bridge of no width
    leads to it and back.

    Args:
        mask: ``(rows, columns)``.

    Example:
        >>> [outline] = outlines(np.array([[False, True]]))
        >>> outline.tolist()
        [[1.0, 0.5], [0.5, 0.0], [1.0, -0.5], [1.5, 0.0]]
    """
    parts, count = ndimage.label(mask)
    places = ndimage.find_objects(parts)
    return [_outline(parts[place] == i + 1, place) for i, place in zip(range(count), places)]


def _outline(part: NDArray[np.bool_], place: tuple[slice, slice]) -> Polygon:
    # a margin closes the outlines of what touches the border
    loops = find_contours(np.pad(part, 1).astype(np.float32), HALF, fully_connected="low")
    corner = np.array([place[1].start - 1, place[0].start - 1])
    closed = [_without_straight_vertices(loop[:-1, ::-1]) + corner for loop in loops]
    closed.sort(key=_area, reverse=True)
    polygon, holes = closed[0], closed[1:]
    while holes:
        polygon = _with_nearest_hole(polygon, holes)
    return polygon


def _with_nearest_hole(polygon: Polygon, holes: list[Polygon]) -> Polygon:
    """Join the hole that is nearest: no other lies between it and the polygon."""
    distances = [cdist(polygon, hole) for hole in holes]
    nearest = int(np.argmin([distance.min() for distance in distances]))
    hole = holes.pop(nearest)
    i, j = np.unravel_index(np.argmin(distances[nearest]), distances[nearest].shape)
    around = np.roll(hole, -int(j), axis=0)
    return np.concatenate([polygon[: i + 1], around, around[:1], polygon[i:]])


def _without_straight_vertices(loop: Polygon) -> Polygon:
    """Leave out the vertices at which an outline does not turn."""
    before, after = loop - np.roll(loop, 1, axis=0), np.roll(loop, -1, axis=0) - loop
    turns = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    return loop[turns != 0]


def _area(loop: Polygon) -> float:
    x, y = loop.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))
