"""Distances to the nearest and the second nearest cell, for every pixel at once."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK = 2**16
"""Pixels that are worked on together: the few arrays of a block fit a core's cache."""

LARGEST = 2**16
"""Cells with higher numbers are numbered anew, lest the numbers leave the distances no bits."""

CHECK = 8
"""Lines between two looks at whether nearer ones can still come."""


def two_nearest_cells(
    cells: NDArray[np.integer], reach: float, spacing: Sequence[float]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Euclidean distances to the nearest and the second nearest cell, exact up to ``reach``.

    One line at a time, the nearest two cells to the left and right of each pixel follow from two
    running maxima. A pixel's nearest cell then is the best over the lines above and below it of
    "distance within the line, squared, plus distance to the line, squared"; its second nearest is
    the best over the same lines of what belongs to another cell. The work is
    ``pixels * lines within reach``, however many cells there are.

    Args:
        cells: ``(*spatial)``, 0 for background, one positive number for each cell.
        reach: distances beyond it are infinite; the work grows with it.
        spacing: of the pixels along each axis.

    Returns:
        Two arrays ``(*spatial)``; the first is 0 inside a cell.

    Example:
        >>> first, second = two_nearest_cells(np.array([[1, 0, 0, 0, 2]]), 9.0, (1.0, 1.0))
        >>> first.tolist(), second.tolist()
        ([[0.0, 1.0, 2.0, 1.0, 0.0]], [[4.0, 3.0, 2.0, 3.0, 4.0]])
    """
    numbers = cells
    if cells.max(initial=0) > LARGEST:
        numbers = np.unique(cells, return_inverse=True)[1].reshape(cells.shape) + (cells.min() > 0)
    grid = _Grid.fitting(int(numbers.max(initial=0)), reach, spacing)
    lines = _Lines(numbers, grid)
    first, second = (np.empty(cells.shape, np.float32) for _ in range(2))
    rows = max(1, BLOCK // max(1, math.prod(cells.shape[1:])))
    for start in range(0, cells.shape[0], rows):
        block = slice(start, min(start + rows, cells.shape[0]))
        nearest, own = lines.nearest(block)
        first[block] = grid.distances(nearest)
        second[block] = grid.distances(lines.nearest_other(block, own))
    return first, second


class _Grid:
    """Squared distances as whole numbers, ``scale`` to the unit, so that a cell's number fits
    into the same word below them; whatever is out of reach is ``far``.
    """

    def __init__(self, reach: float, spacing: Sequence[float], scale: int, label_bits: int) -> None:
        self.reach, self.spacing, self.scale, self.label_bits = reach, spacing, scale, label_bits
        self.far = math.floor(reach**2 * scale) + 1
        self.units = [min(round(step**2 * scale), self.far) for step in spacing]

    @classmethod
    def fitting(cls, cells: int, reach: float, spacing: Sequence[float]) -> "_Grid":
        """Unit steps need no fractions; others get as many bits as a word has left."""
        label_bits = max(1, int(cells).bit_length())
        if all(step == 1 for step in spacing):
            return cls(reach, spacing, 1, label_bits)
        free = 61 - label_bits - math.ceil(reach**2).bit_length()
        return cls(reach, spacing, 2 ** max(0, free), label_bits)

    def steps(self, axis: int) -> int:
        """The most steps along an axis that stay within reach."""
        return int(self.reach / self.spacing[axis])

    def offsets(self, axes: Sequence[int]) -> list[tuple[int, tuple[int, ...]]]:
        """Every step along the axes within reach, nearest first, with its squared length."""
        most = [self.steps(axis) for axis in axes]
        steps = itertools.product(*(range(-m, m + 1) for m in most))
        units = [self.units[axis] for axis in axes]
        lengths = ((sum(k * k * u for k, u in zip(s, units, strict=True)), s) for s in steps)
        return sorted(pair for pair in lengths if pair[0] < self.far)

    def along_line(self, steps: NDArray[np.integer]) -> NDArray[np.integer]:
        """Squared lengths of steps along the last axis."""
        steps = np.minimum(steps, self.steps(-1) + 1).astype(self.packed)
        return np.minimum(steps * steps * self.units[-1], self.far).astype(self.plain)

    def distances(self, squared: NDArray[np.integer]) -> NDArray[np.float32]:
        """Distances in units of the spacing, infinite where out of reach."""
        exact = np.float32 if self.scale == 1 else np.float64
        roots = np.sqrt(np.divide(squared, self.scale, dtype=exact)).astype(np.float32)
        np.copyto(roots, np.inf, where=squared >= self.far)
        return roots

    @property
    def plain(self) -> np.dtype:
        """Type of a squared distance, or of a cell's number; two distances may be added."""
        return _smallest(max(2 * self.far, 2**self.label_bits))

    @property
    def packed(self) -> np.dtype:
        """Type of a squared distance with a cell's number below it."""
        return _smallest(2 * self.far << self.label_bits)


def _smallest(largest: int) -> np.dtype:
    return next(np.dtype(t) for t in (np.int16, np.int32, np.int64) if largest <= np.iinfo(t).max)


class _Lines:
    """For every pixel the two nearest different cells of its own line, the last axis.

    All arrays are padded by the reach along the other axes, with cells out of reach, so that a
    block's neighbouring lines are always there.
    """

    def __init__(self, cells: NDArray[np.integer], grid: _Grid) -> None:
        self.grid, self.sides = grid, cells.shape[:-1]
        self.margins = [grid.steps(axis) for axis in range(cells.ndim - 1)]
        self.offsets = grid.offsets(range(cells.ndim - 1))
        # running along the first axis they take many lines in one stride
        upright = np.ascontiguousarray(np.moveaxis(cells, -1, 0))
        near, own, far = (np.moveaxis(x, 0, -1) for x in _two_in_line(upright, grid))
        self.own = self._padded(own, 0, grid.plain)
        self.far = self._padded(far, grid.far, grid.plain)
        self.gain = self._padded(far - near, 0, grid.plain)
        packed = near.astype(grid.packed) << grid.label_bits | own.astype(grid.packed)
        self.packed = self._padded(packed, grid.far << grid.label_bits, grid.packed)

    def nearest(self, block: slice) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
        """The squared distance to the nearest cell, and the cell's number."""
        bits = self.grid.label_bits
        best = self.packed[self._window(block, [0] * len(self.margins))].copy()
        trial = np.empty_like(best)
        for length, step in self._until(lambda: int(best.max()) >> bits):
            np.add(self.packed[self._window(block, step)], length << bits, out=trial)
            np.minimum(best, trial, out=best)
        own = (best & (1 << bits) - 1).astype(self.grid.plain)
        return best >> bits, own

    def nearest_other(self, block: slice, own: NDArray[np.integer]) -> NDArray[np.integer]:
        """The squared distance to the nearest cell but ``own``."""
        unsigned = np.dtype(f"u{own.dtype.itemsize}")
        best = np.full_like(own, self.grid.far)
        trial = np.empty_like(own)
        for length, step in self._until(lambda: int(best.max())):
            window = self._window(block, step)
            # far where the line's nearest cell is the pixel's own, near elsewhere, free of branches
            np.bitwise_xor(self.own[window], own, out=trial)
            np.minimum(trial.view(unsigned), 1, out=trial.view(unsigned))
            np.multiply(trial, self.gain[window], out=trial)
            np.subtract(self.far[window], trial, out=trial)
            np.add(trial, length, out=trial)
            np.minimum(best, trial, out=best)
        return best

    def _until(self, worst: Callable[[], int]) -> Iterator[tuple[int, Sequence[int]]]:
        """Offsets, nearest first, as long as one could still improve the worst pixel."""
        for number, (length, step) in enumerate(self.offsets):
            if number % CHECK == 0 and length >= worst():
                return
            yield length, step

    def _window(self, block: slice, step: Sequence[int]) -> tuple[slice, ...]:
        if not self.margins:
            return (block,)
        starts = [margin + k for margin, k in zip(self.margins, step, strict=True)]
        first = slice(block.start + starts[0], block.stop + starts[0])
        rest = (
            slice(start, start + side)
            for start, side in zip(starts[1:], self.sides[1:], strict=True)
        )
        return (first, *rest)

    def _padded(self, array: NDArray[np.integer], value: int, dtype: np.dtype) -> NDArray:
        widths = [(margin, margin) for margin in self.margins]
        return np.pad(array.astype(dtype, order="C"), [*widths, (0, 0)], constant_values=value)


def _two_in_line(cells: NDArray[np.integer], grid: _Grid) -> tuple[NDArray[np.integer], ...]:
    """Along the first axis, the nearest cell and the nearest other one.

    Returns:
        Squared distance and number of the first, squared distance of the second.
    """
    left_1, left_cell, left_2 = _two_before(cells, grid)
    right_1, right_cell, right_2 = (side[::-1] for side in _two_before(cells[::-1], grid))
    nearer = left_1 <= right_1
    near, across = np.minimum(left_1, right_1), np.maximum(left_1, right_1)
    behind = np.where(nearer, left_2, right_2)
    other = np.where(nearer, right_2, left_2)
    far = np.minimum(behind, np.where(left_cell == right_cell, other, across))
    return near, np.where(nearer, left_cell, right_cell), far


def _two_before(cells: NDArray[np.integer], grid: _Grid) -> tuple[NDArray[np.integer], ...]:
    """The same of what lies at or before each pixel of its line."""
    side, bits = len(cells), grid.label_bits
    dtype = _smallest(side + grid.steps(-1) + 1 << bits)
    # places start beyond the reach, so that "nothing yet", 0, is out of it
    start = grid.steps(-1) + 1
    place = np.arange(start, start + side, dtype=dtype).reshape(-1, *[1] * (cells.ndim - 1))
    # the place above the cell's number: the running maximum is the last cell pixel so far
    key = (place << bits | cells.astype(dtype)) * (cells > 0)
    last = np.maximum.accumulate(key)
    previous = np.concatenate([np.zeros_like(last[:1]), last[:-1]])
    number = dtype.type((1 << bits) - 1)
    changed = (key > 0) & ((previous ^ key) & number > 0)
    other = np.maximum.accumulate(previous * changed)
    first, second = (grid.along_line(place - (found >> bits)) for found in (last, other))
    return first, (last & number).astype(grid.plain), second
