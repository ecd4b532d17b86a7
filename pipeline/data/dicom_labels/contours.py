"""Contours (RTSTRUCT): a pixel belongs to a region if its centre lies within, by the even-odd rule.

All contours of a region in one slice count together, so that a contour within another is a hole,
whether it is given by itself or joined to the outer one by a keyhole.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dicom_labels.grid import ImageGrid
from pipeline.data.dicom_labels.objects import CLOSED, LabelObject, labels_of_file
from pipeline.data.dicom_labels.rule import Structure
from pipeline.data.dicom_pixels import read_dataset
from transforms.places import MAX_FINE_OFFSET

MAX_BEYOND = 1.0
"""Pixels by which a contour may lie beyond the image: that of the whole body follows its border."""
MIN_GAPS = 3
"""Slices with a contour from which equal gaps between them are no chance."""


def contour_voxels(
    labels: LabelObject, image: ImageGrid, names: dict[int, str]
) -> Iterator[Structure]:
    """Yield the voxels of each region, slice by slice.

    Args:
        labels: the contours.
        image: grid of the image that they label.
        names: name of each region that is read, by its number.

    Raises:
        ValueError: the file is corrupt; a contour does not lie in a slice of the image, or lies
            outside it; or a region has a contour in every other slice alone.
    """
    columns, rows, _ = image.shape
    for number, contours in _points(labels).items():
        if number not in names:
            continue
        try:
            by_slice = _by_slice([image.indices(points) for points in contours], image)
        except ValueError as error:
            raise ValueError(f"{labels.path}: {names[number]}: {error}") from None
        for index, polygons in by_slice.items():
            inside_rows, inside_columns = np.nonzero(rasterise(polygons, (rows, columns)))
            slices = np.full(len(inside_rows), index)
            yield names[number], (inside_columns, inside_rows, slices)


def rasterise(polygons: Sequence[NDArray[np.float64]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels whose centres lie within an odd number of polygons.

    A centre on an edge belongs to the region on the right of and below the edge.

    Args:
        polygons: corners of each, ``(N, 2)``: column and row; whole numbers are centres.
        shape: rows and columns of the image.

    Example:
        >>> square = np.array([[0.5, 0.5], [3.5, 0.5], [3.5, 3.5], [0.5, 3.5]])
        >>> hole = np.array([[1.5, 1.5], [2.5, 1.5], [2.5, 2.5], [1.5, 2.5]])
        >>> print(rasterise([square, hole], (5, 5)).astype(int))
        [[0 0 0 0 0]
         [0 1 1 1 0]
         [0 1 0 1 0]
         [0 1 1 1 0]
         [0 0 0 0 0]]
    """
    edges = np.concatenate([np.stack([one, np.roll(one, -1, axis=0)], axis=1) for one in polygons])
    # the upper end first: an edge and its reverse, as of a keyhole, then cross in the same place
    order = np.lexsort((edges[..., 0], edges[..., 1]), axis=1)
    upper, lower = np.moveaxis(np.take_along_axis(edges, order[..., None], axis=1), 1, 0)
    firsts = np.clip(np.ceil(upper[:, 1]), 0, shape[0]).astype(int)
    counts = np.clip(np.ceil(lower[:, 1]), 0, shape[0]).astype(int) - firsts
    edge = np.repeat(np.arange(len(edges)), counts)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + firsts[edge]
    slope = (lower[edge] - upper[edge])[:, 0] / (lower[edge] - upper[edge])[:, 1]
    crossing = upper[edge, 0] + (row - upper[edge, 1]) * slope
    column = np.clip(np.ceil(crossing), 0, shape[1]).astype(int)
    crossings = np.zeros((shape[0], shape[1] + 1), np.int32)
    np.add.at(crossings, (row, column), 1)
    inside: NDArray[np.bool_] = np.cumsum(crossings, axis=1)[:, :-1] % 2 == 1
    return inside


def _points(labels: LabelObject) -> dict[int, list[NDArray[np.float64]]]:
    """Return the corners of the closed contours of each region, ``(N, 3)``, by its number."""
    data = read_dataset(labels.path)
    with labels_of_file(labels.path):
        return {
            int(roi.ReferencedROINumber): [
                _corners(contour)
                for contour in roi.get("ContourSequence") or []
                if contour.ContourGeometricType in CLOSED
            ]
            for roi in data.get("ROIContourSequence") or []
        }


def _corners(contour: Any) -> NDArray[np.float64]:
    corners = np.array(contour.ContourData, np.float64).reshape(-1, 3)
    if not np.isfinite(corners).all():
        raise ValueError("the corners of a contour")
    return corners


def _by_slice(
    contours: Sequence[NDArray[np.float64]], image: ImageGrid
) -> dict[int, list[NDArray[np.float64]]]:
    by_slice: dict[int, list[NDArray[np.float64]]] = {}
    for points in contours:
        _check_within(points, image)
        by_slice.setdefault(round(float(points[0, 2])), []).append(points[:, :2])
    _check_gaps(sorted(by_slice))
    return by_slice


def _check_within(points: NDArray[np.float64], image: ImageGrid) -> None:
    columns, rows, slices = image.shape
    levels = points[:, 2]
    level = round(float(levels[0]))
    if np.abs(levels - level).max() > MAX_FINE_OFFSET:
        raise ValueError(
            f"a contour at slice {levels.min():.2f} to {levels.max():.2f} of {image.path.name}; "
            "expected one in a slice of the image, a whole number; export contours that were drawn "
            "on this very image"
        )
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    beyond = max(*-low, *(high - [columns - 1, rows - 1]))
    if not 0 <= level < slices or beyond > MAX_BEYOND:
        raise ValueError(
            f"a contour at columns {low[0]:.1f} to {high[0]:.1f}, rows {low[1]:.1f} to "
            f"{high[1]:.1f}, slice {level}, outside the image {image.path.name} of {columns} x "
            f"{rows} x {slices}; give its own image, or leave it out by --labels"
        )


def _check_gaps(slices: Sequence[int]) -> None:
    gaps: Any = np.diff(slices)
    if len(slices) >= MIN_GAPS and gaps.min() > 1 and gaps.min() == gaps.max():
        raise ValueError(
            f"contours in slices {slices[0]}, {slices[1]}, {slices[2]}, …, {gaps[0]} apart; "
            "expected one in every slice; interpolate them where they were drawn, and export again"
        )
