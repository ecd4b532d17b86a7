"""The resolutions of a network: how each pooling halves the axes, and the kernels of each level."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

STRIDES = (1, 2)
"""Factors by which a pooling may divide an axis."""
KERNELS = (1, 3)
"""Sides that a convolution of a level may have along an axis."""


@dataclass(frozen=True)
class Pyramid:
    """Strides of the poolings and kernels of the levels, by axis.

    Attributes:
        strides: for each pooling, the finest first, the factor along each axis.
        kernels: for each level, the image's level first, the kernel's side along each axis.

    Example:
        >>> pyramid = Pyramid(((2, 1), (2, 2)), ((3, 1), (3, 3), (3, 3)))
        >>> pyramid.multiples, pyramid.factors(1, 2), pyramid.is_isotropic
        ((4, 2), (2, 2), False)
    """

    strides: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]

    @property
    def multiples(self) -> tuple[int, ...]:
        """The number along each axis whose multiples pass all poolings without a rest."""
        return self.factors(0, len(self.strides))

    @property
    def is_isotropic(self) -> bool:
        """Whether every pooling halves all axes and every kernel has 3 pixels along all axes."""
        return all(
            set(row) == {side}
            for rows, side in ((self.strides, 2), (self.kernels, 3))
            for row in rows
        )

    def factors(self, fine: int, coarse: int) -> tuple[int, ...]:
        """Return the factor along each axis between two levels, counted from 0."""
        dims = len(self.kernels[0])
        return tuple(
            math.prod(stride[axis] for stride in self.strides[fine:coarse]) for axis in range(dims)
        )


def check_pyramid(
    network: str,
    spatial_dims: int,
    levels: int,
    strides: Sequence[Sequence[int]] | None,
    kernels: Sequence[Sequence[int]] | None,
) -> Pyramid:
    """Return the pyramid of a network; None stands for a stride of 2, a kernel of 3, everywhere.

    Raises:
        ValueError: strides that are not one list for each pooling, kernels that are not one for
            each level, or a list without one of the allowed numbers for each axis.

    Example:
        >>> check_pyramid("UNet", 2, 2, [[2, 1]], None)
        Pyramid(strides=((2, 1),), kernels=((3, 3), (3, 3)))
    """
    if strides is None:
        strides = [[2] * spatial_dims] * (levels - 1)
    if kernels is None:
        kernels = [[3] * spatial_dims] * levels
    poolings = f"{levels - 1} lists, one for each pooling"
    if not _fits(strides, levels - 1, spatial_dims, STRIDES):
        raise _error(f"{network} strides", strides, poolings, spatial_dims, STRIDES)
    if not _fits(kernels, levels, spatial_dims, KERNELS):
        of_levels = f"{levels} lists, one for each level"
        raise _error(f"{network} kernels", kernels, of_levels, spatial_dims, KERNELS)
    return Pyramid(tuple(map(tuple, strides)), tuple(map(tuple, kernels)))


def _fits(rows: object, count: int, axes: int, choices: Collection[int]) -> bool:
    """Return whether there are ``count`` rows with one of the choices for each axis."""
    if not isinstance(rows, Sequence) or len(rows) != count:
        return False
    return all(
        isinstance(row, Sequence)
        and len(row) == axes
        and all(type(side) is int and side in choices for side in row)
        for row in rows
    )


def _error(
    parameter: str, value: object, rows: str, axes: int, choices: Sequence[int]
) -> ValueError:
    low, high = choices
    return ValueError(
        f"{parameter}: found {value}, expected {rows}, of {axes} numbers each, {low} or {high}; "
        f"write {[high] * (axes - 1) + [low]} for one that leaves the last axis alone"
    )
