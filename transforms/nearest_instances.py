"""Distances to the nearest and the second nearest instance, for all pixels together."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK_PIXELS = 2**16
"""Pixels processed together: the arrays of a block fit a core's cache."""

MAX_INSTANCE_NUMBER = 2**16
"""Instances with higher numbers are renumbered, so that bits remain for the distances."""

OFFSETS_PER_CHECK = 8
"""Offsets tried between two checks whether a nearer instance is still possible."""


def two_nearest_instances(
    instances: NDArray[np.integer], reach: float, spacing: Sequence[float]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return Euclidean distances to the nearest and second nearest instance, exact up to ``reach``.

    Within each line, two running maxima give the nearest two instances to the left and right of
    each pixel. The squared distance to the nearest instance is then the minimum, over the lines
    above and below the pixel, of "squared distance within the line plus squared distance to the
    line"; the second distance is the minimum over the same lines for all other instances. The work
    is ``pixels * lines within reach``, for any number of instances.

    Args:
        instances: ``(*spatial)``, 0 for background, one positive number for each instance.
        reach: distances beyond it are infinite; the work grows with it.
        spacing: size of the pixels along each axis.

    Returns:
        Two arrays ``(*spatial)``; the first is 0 inside an instance.

    Example:
        >>> first, second = two_nearest_instances(np.array([[1, 0, 0, 0, 2]]), 9.0, (1.0, 1.0))
        >>> first.tolist(), second.tolist()
        ([[0.0, 1.0, 2.0, 1.0, 0.0]], [[4.0, 3.0, 2.0, 3.0, 4.0]])
    """
    numbers = instances
    if instances.max(initial=0) > MAX_INSTANCE_NUMBER:
        numbers = np.unique(instances, return_inverse=True)[1].reshape(instances.shape) + (
            instances.min() > 0
        )
    grid = _Grid.fitting(int(numbers.max(initial=0)), reach, spacing)
    lines = _Lines(numbers, grid)
    first, second = (np.empty(instances.shape, np.float32) for _ in range(2))
    rows = max(1, BLOCK_PIXELS // max(1, math.prod(instances.shape[1:])))
    for start in range(0, instances.shape[0], rows):
        block = slice(start, min(start + rows, instances.shape[0]))
        distance, number = lines.nearest(block)
        first[block] = grid.distances(distance)
        second[block] = grid.distances(lines.nearest_other(block, number))
    return first, second


class _Grid:
    """Squared distances as integers, so that they share a word with an instance number.

    They count units of ``1 / scale``. The number of the instance is in the lower bits; a distance
    out of reach is ``far``.
    """

    def __init__(self, reach: float, spacing: Sequence[float], scale: int, label_bits: int) -> None:
        self.reach, self.spacing, self.scale, self.label_bits = reach, spacing, scale, label_bits
        self.far = math.floor(reach**2 * scale) + 1
        self.units = [min(round(step**2 * scale), self.far) for step in spacing]

    @classmethod
    def fitting(cls, instances: int, reach: float, spacing: Sequence[float]) -> "_Grid":
        """Choose the scale: 1 for unit steps, otherwise as many bits as the word has left."""
        label_bits = max(1, int(instances).bit_length())
        if all(step == 1 for step in spacing):
            return cls(reach, spacing, 1, label_bits)
        free = 61 - label_bits - math.ceil(reach**2).bit_length()
        return cls(reach, spacing, 2 ** max(0, free), label_bits)

    def steps(self, axis: int) -> int:
        """Return the largest number of steps along an axis within reach."""
        return int(self.reach / self.spacing[axis])

    def offsets(self, axes: Sequence[int]) -> list[tuple[int, tuple[int, ...]]]:
        """Return every step along the axes within reach, nearest first, with its squared length."""
        counts = [self.steps(axis) for axis in axes]
        steps = itertools.product(*(range(-count, count + 1) for count in counts))
        units = [self.units[axis] for axis in axes]
        lengths = ((sum(k * k * u for k, u in zip(s, units, strict=True)), s) for s in steps)
        return sorted(pair for pair in lengths if pair[0] < self.far)

    def along_line(self, steps: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return squared lengths of steps along the last axis."""
        steps = np.minimum(steps, self.steps(-1) + 1).astype(self.packed, copy=False)
        return np.minimum(steps * steps * self.units[-1], self.far).astype(self.plain, copy=False)

    def distances(self, squared: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return distances in units of the spacing, infinite where out of reach."""
        exact = np.float32 if self.scale == 1 else np.float64
        roots = np.sqrt(np.divide(squared, self.scale, dtype=exact)).astype(np.float32)
        np.copyto(roots, np.inf, where=squared >= self.far)
        return roots

    @property
    def plain(self) -> np.dtype:
        """Type of a squared distance or an instance number; the sum of two distances fits."""
        return _smallest_type(max(2 * self.far, 2**self.label_bits))

    @property
    def packed(self) -> np.dtype:
        """Type of a squared distance with an instance number in the lower bits."""
        return _smallest_type(2 * self.far << self.label_bits)


def _smallest_type(maximum: int) -> np.dtype:
    return next(np.dtype(t) for t in (np.int16, np.int32, np.int64) if maximum <= np.iinfo(t).max)


class _Lines:
    """The two nearest instances in the same line (the last axis), for every pixel.

    All arrays are padded by the reach along the other axes, with instances out of reach, so that
    the neighbouring lines of a block always exist.
    """

    def __init__(self, instances: NDArray[np.integer], grid: _Grid) -> None:
        self.grid, self.sides = grid, instances.shape[:-1]
        self.margins = [grid.steps(axis) for axis in range(instances.ndim - 1)]
        self.offsets = grid.offsets(range(instances.ndim - 1))
        # with the lines along the first axis, one operation takes many lines
        upright = np.ascontiguousarray(np.moveaxis(instances, -1, 0))
        near, number, far = (np.moveaxis(x, 0, -1) for x in _two_in_line(upright, grid))
        self.number = self._padded(number, 0, grid.plain)
        self.far = self._padded(far, grid.far, grid.plain)
        self.gain = self._padded(far - near, 0, grid.plain)
        packed = near.astype(grid.packed) << grid.label_bits | number.astype(grid.packed)
        self.packed = self._padded(packed, grid.far << grid.label_bits, grid.packed)

    def nearest(self, block: slice) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
        """Return the squared distance to the nearest instance, and its number."""
        bits = self.grid.label_bits
        best = self.packed[self._window(block, [0] * len(self.margins))].copy()
        trial = np.empty_like(best)
        for length, step in self._until(lambda: int(best.max()) >> bits):
            np.add(self.packed[self._window(block, step)], length << bits, out=trial)
            np.minimum(best, trial, out=best)
        number = (best & (1 << bits) - 1).astype(self.grid.plain)
        return best >> bits, number

    def nearest_other(self, block: slice, nearest: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return the squared distance to the nearest instance other than ``nearest``."""
        best = np.full_like(nearest, self.grid.far)
        trial = np.empty_like(nearest)
        for length, step in self._until(lambda: int(best.max())):
            window = self._window(block, step)
            # far where the line's nearest instance is the pixel's, else near; without branches
            np.bitwise_xor(self.number[window], nearest, out=trial)
            np.sign(trial, out=trial)
            np.multiply(trial, self.gain[window], out=trial)
            np.subtract(self.far[window], trial, out=trial)
            np.add(trial, length, out=trial)
            np.minimum(best, trial, out=best)
        return best

    def _until(self, worst: Callable[[], int]) -> Iterator[tuple[int, Sequence[int]]]:
        """Yield offsets, nearest first, while one could still improve the worst pixel."""
        for number, (length, step) in enumerate(self.offsets):
            if number % OFFSETS_PER_CHECK == 0 and length >= worst():
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
        sides = [side + 2 * k for side, k in zip(self.sides, self.margins, strict=True)]
        padded = np.full((*sides, array.shape[-1]), value, dtype)
        inner = [slice(k, k + side) for side, k in zip(self.sides, self.margins, strict=True)]
        padded[(*inner, slice(None))] = array
        return padded


def _two_in_line(instances: NDArray[np.integer], grid: _Grid) -> tuple[NDArray[np.integer], ...]:
    """Find the nearest instance and the nearest other one along the first axis.

    Returns:
        Squared distance and number of the first, squared distance of the second.
    """
    left_1, left_number, left_2 = _two_before(instances, grid)
    right_1, right_number, right_2 = (side[::-1] for side in _two_before(instances[::-1], grid))
    nearer = left_1 <= right_1
    near, across = np.minimum(left_1, right_1), np.maximum(left_1, right_1)
    behind = np.where(nearer, left_2, right_2)
    other = np.where(nearer, right_2, left_2)
    far = np.minimum(behind, np.where(left_number == right_number, other, across))
    return near, np.where(nearer, left_number, right_number), far


def _two_before(instances: NDArray[np.integer], grid: _Grid) -> tuple[NDArray[np.integer], ...]:
    """Find the nearest two instances at or before each pixel; returns as :func:`_two_in_line`."""
    side, bits = len(instances), grid.label_bits
    dtype = _smallest_type(side + grid.steps(-1) + 1 << bits)
    # positions start beyond the reach, so that 0, "no instance yet", is out of reach
    start = grid.steps(-1) + 1
    position = np.arange(start, start + side, dtype=dtype).reshape(-1, *[1] * (instances.ndim - 1))
    # position in the upper bits, number in the lower: the running maximum is the last instance
    key = (position << bits | instances.astype(dtype)) * (instances > 0)
    last = _running_maximum(key)
    previous = np.concatenate([np.zeros_like(last[:1]), last[:-1]])
    number = dtype.type((1 << bits) - 1)
    changed = (key > 0) & ((previous ^ key) & number > 0)
    other = _running_maximum(previous * changed)
    first, second = (grid.along_line(position - (key >> bits)) for key in (last, other))
    return first, (last & number).astype(grid.plain), second


def _running_maximum(array: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return the largest value at or before each place along the first axis.

    ``np.maximum.accumulate`` takes one number after the other; this takes a line of them at a time.
    """
    out = array.copy()
    for before, line in itertools.pairwise(out):
        np.maximum(before, line, out=line)
    return out
