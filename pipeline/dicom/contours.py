"""Outlines of a mask as polygons, each hole joined to its outer outline by a keyhole."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

LEVEL = 0.5
"""Between the pixels of the mask, 1, and those outside, 0."""

Polygon = NDArray[np.float64]
"""Vertices ``(N, 2)``, column and row, in pixels; the last one is joined to the first."""
Vertex = tuple[float, float]


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
    parts, _ = ndimage.label(mask)
    places = enumerate(ndimage.find_objects(parts), 1)
    return [_outline(parts[place] == number, place) for number, place in places]


def _outline(part: NDArray[np.bool_], place: tuple[slice, slice]) -> Polygon:
    padded = np.pad(part, 1)  # a margin closes the outlines of what touches the border
    loops = find_contours(padded.astype(np.float32), LEVEL, fully_connected="low")
    outer, *holes = sorted((loop[:-1, ::-1] for loop in loops), key=_area, reverse=True)
    bridges = dict(_bridge(hole, padded) for hole in holes)
    polygon = np.array(list(_walk(outer, bridges)))
    corner = np.array([place[1].start - 1, place[0].start - 1])
    return _without_straight_vertices(polygon) + corner


def _bridge(hole: Polygon, part: NDArray[np.bool_]) -> tuple[Vertex, Polygon]:
    """Return where the bridge to a hole begins, and the hole from where the bridge meets it.

    From its leftmost vertex the bridge runs left, along a row of pixels, to the first outline: the
    outer one, or that of a hole whose own bridge begins farther left.
    """
    first = int(np.argmin(hole[:, 0]))
    x, y = hole[first]
    column, row = int(x - LEVEL), int(y)
    width = int(np.argmin(part[row, column::-1]))
    return (x - width, y), np.roll(hole, -first, axis=0)


def _walk(outer: Polygon, bridges: dict[Vertex, Polygon]) -> Iterator[Vertex]:
    """Yield the vertices of an outline, with a tour to each hole whose bridge begins at one."""
    tours: list[Iterator[Vertex]] = [_vertices(outer)]
    while tours:
        vertex = next(tours[-1], None)
        if vertex is None:
            tours.pop()
            continue
        yield vertex
        hole = bridges.pop(vertex, None)
        if hole is not None:
            there_and_back = [*_vertices(hole), *_vertices(hole[:1]), vertex]
            tours.append(iter(there_and_back))


def _vertices(loop: Polygon) -> Iterator[Vertex]:
    return ((float(x), float(y)) for x, y in loop)


def _without_straight_vertices(loop: Polygon) -> Polygon:
    """Leave out the vertices at which an outline does not turn."""
    before, after = loop - np.roll(loop, 1, axis=0), np.roll(loop, -1, axis=0) - loop
    turns = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    return loop[turns != 0]


def _area(loop: Polygon) -> float:
    x, y = loop.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))
