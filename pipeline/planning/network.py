"""The network's levels: filters, and by axis the poolings and kernels.

The rules of poolings and kernels are nnU-Net's (Isensee et al., Nature Methods 2021, "Network
topology"): an axis of thick slices joins when the poolings of the others have made them as coarse.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.planning.choice import Choice
from pipeline.planning.machine import Machine

MAX_POOLINGS = 4
MIN_BOTTLENECK_PIXELS = {2: 3, 3: 4}
"""Smallest side of the bottleneck by dimensions, so that its convolutions have something to see."""
MAX_COARSENESS = 2
"""Ratio to the finest spacing from which an axis is neither pooled nor convolved."""
FIRST_FEATURES = {"cpu": 16, "cuda": 32}
"""Filters of the first level."""


class Network(NamedTuple):
    """Planned values of the network, see :class:`pipeline.planning.plan.Plan`.

    Attributes:
        features: filters of each level.
        strides: factor along each axis of each pooling.
        kernels: sides along each axis of each level's kernels.
        squares: side of the squares of pixels that it sees as channels; 1: none.
    """

    features: Choice
    strides: Choice
    kernels: Choice
    squares: int = 1

    @property
    def levels(self) -> tuple[Choice, Choice, Choice]:
        """What the levels consist of: features, strides and kernels."""
        return self.features, self.strides, self.kernels

    @property
    def multiples(self) -> tuple[int, ...]:
        """The number along each axis whose multiples pass all poolings without a rest."""
        strides = zip(*self.strides.value, strict=True)
        return tuple(self.squares * math.prod(factors) for factors in strides)


def plan_network(
    sides: Sequence[float], spacing: Sequence[float] | None, machine: Machine, squares: int = 1
) -> Network:
    """Plan the levels of the network.

    Args:
        sides: pixels of a median image along each axis.
        spacing: their distance along each axis, mm; ``None`` for flat images, whose axes are
            pooled alike, as often as the shorter one allows.
        machine: machine that will train the network.
        squares: side of the squares of pixels that it sees as channels; 1: none.

    Example:
        >>> network = plan_network([256, 256, 24], [0.8, 0.8, 5.0], Machine("cpu", 1))
        >>> network.strides.value
        [[2, 2, 1], [2, 2, 1], [2, 2, 2], [2, 2, 2]]
        >>> network.multiples
        (16, 16, 4)
    """
    sides = [side / squares for side in sides]
    if spacing is None:
        strides, kernels = strides_and_kernels([min(sides)] * len(sides), [1.0] * len(sides))
    else:
        strides, kernels = strides_and_kernels(sides, spacing)
    features = _features(sides, strides, machine)
    return Network(features, _strides(strides), _kernels(kernels), squares)


def strides_and_kernels(
    sides: Sequence[float], spacing: Sequence[float]
) -> tuple[list[list[int]], list[list[int]]]:
    """Return the factor along each axis of each pooling, and the sides of each level's kernels.

    An axis is pooled while its side allows it and its spacing is less than :data:`MAX_COARSENESS`
    times the finest of the axes whose sides allow it. A level's kernel has 1 along an axis while
    its spacing is at least :data:`MAX_COARSENESS` times the finest, and 3 from then on. The
    bottleneck's has 3 along every axis. There is one pooling at least.

    Example:
        >>> strides_and_kernels([64, 64, 10], [1.0, 1.0, 4.0])[0]
        [[2, 2, 1], [2, 2, 1], [2, 2, 2], [2, 2, 1]]
    """
    dims = len(sides)
    kernel = [1] * dims
    strides: list[list[int]] = []
    kernels: list[list[int]] = []
    stride = _stride(sides, spacing) or [2] * dims
    while stride and len(strides) < MAX_POOLINGS:
        finest = min(spacing)
        kernel = [
            3 if mm < MAX_COARSENESS * finest else side
            for side, mm in zip(kernel, spacing, strict=True)
        ]
        strides.append(stride)
        kernels.append(kernel)
        sides = [side / factor for side, factor in zip(sides, stride, strict=True)]
        spacing = [mm * factor for mm, factor in zip(spacing, stride, strict=True)]
        stride = _stride(sides, spacing)
    return strides, [*kernels, [3] * dims]


def _stride(sides: Sequence[float], spacing: Sequence[float]) -> list[int]:
    """Return the factor of each axis of the next pooling; nothing where no axis can be pooled."""
    long_enough = [side >= 2 * MIN_BOTTLENECK_PIXELS[len(sides)] for side in sides]
    if not any(long_enough):
        return []
    axes = list(zip(long_enough, spacing, strict=True))
    finest = min(mm for fits, mm in axes if fits)
    return [2 if fits and mm < MAX_COARSENESS * finest else 1 for fits, mm in axes]


def _features(sides: Sequence[float], strides: list[list[int]], machine: Machine) -> Choice:
    poolings, first = len(strides), FIRST_FEATURES[machine.device]
    factors = map(math.prod, zip(*strides, strict=True))
    bottleneck = " x ".join(
        f"{int(side) // factor}" for side, factor in zip(sides, factors, strict=True)
    )
    return Choice(
        [first * 2**level for level in range(poolings + 1)],
        f"{poolings} poolings leave {bottleneck} pixels of a median image; {first} filters in the "
        "first level suit " + ("a CPU" if machine.device == "cpu" else "a graphics card"),
    )


def _strides(strides: list[list[int]]) -> Choice:
    if is_everywhere(2, strides):
        return Choice(strides, "every pooling halves every axis")
    counts_of_axes = [factors.count(2) for factors in zip(*strides, strict=True)]
    counts = ", ".join(map(str, counts_of_axes))
    return Choice(
        strides, f"the axes are pooled {counts} times: an axis is while it is less than "
        f"{MAX_COARSENESS} times coarser than the finest, and keeps "
        f"{MIN_BOTTLENECK_PIXELS[len(counts_of_axes)]} pixels",
    )  # fmt: skip


def _kernels(kernels: list[list[int]]) -> Choice:
    if is_everywhere(3, kernels):
        return Choice(kernels, "3 pixels along every axis")
    return Choice(
        kernels, f"1 along an axis that is at least {MAX_COARSENESS} times coarser than the "
        "finest, since its neighbours show another place",
    )  # fmt: skip


def is_everywhere(side: int, rows: Sequence[Sequence[int]]) -> bool:
    """Return whether all rows hold one number alone.

    Example:
        >>> is_everywhere(2, [[2, 2], [2, 2]]), is_everywhere(2, [[2, 1]])
        (True, False)
    """
    return all(set(row) == {side} for row in rows)
