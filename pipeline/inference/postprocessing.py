"""From a probability map to a mask, and what is done to the mask then."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label as connected_components

from pipeline.metrics.boxes import box_around


@dataclass(frozen=True)
class Postprocessing:
    """Thresholds a probability map and post-processes the mask.

    In this order: components smaller than ``min_pixels`` are removed; all but the largest are
    removed; holes are filled. Components touch by faces.

    Args:
        min_pixels: pixels of the network's grid that a component needs to stay; 0 keeps all.
        largest_only: whether the largest component alone stays.
        fill_holes: whether enclosed background becomes foreground.

    Raises:
        ValueError: a negative size.

    Example:
        >>> row = np.array([[0.9, 0.1, 0.9, 0.9]])
        >>> Postprocessing(min_pixels=2)(row, 0.5).astype(int).tolist()
        [[0, 0, 1, 1]]
        >>> str(Postprocessing(min_pixels=18, fill_holes=True))
        'components of 18 pixels or more, holes filled'
    """

    min_pixels: int = 0
    largest_only: bool = False
    fill_holes: bool = False

    def __post_init__(self) -> None:
        if self.min_pixels < 0:
            raise ValueError(f"min_pixels: found {self.min_pixels}, expected 0 or more pixels")

    def at(self, scale: float) -> "Postprocessing":
        """Return the same for a grid where ``scale`` pixels stand for one of the network's."""
        return replace(self, min_pixels=round(self.min_pixels * scale))

    def __call__(self, probability: NDArray[np.floating], threshold: float) -> NDArray[np.bool_]:
        """Return the mask, ``(*spatial)`` as the map."""
        mask: NDArray[np.bool_] = probability >= threshold
        if self.min_pixels > 1 or self.largest_only:
            self._remove_small(mask)
        if self.fill_holes:
            _fill_holes(mask)
        return mask

    def __str__(self) -> str:
        """Say in words what is done to a mask."""
        parts = []
        if self.min_pixels > 1:
            parts.append(f"components of {self.min_pixels} pixels or more")
        if self.largest_only:
            parts.append("largest component only")
        if self.fill_holes:
            parts.append("holes filled")
        return ", ".join(parts) or "none"

    def _remove_small(self, mask: NDArray[np.bool_]) -> None:
        inside = mask[box_around(mask)]
        numbers, sizes = _components(inside)
        if not len(numbers):
            return
        stays = sizes >= max(1, self.min_pixels)
        if self.largest_only:
            stays &= np.arange(len(sizes)) == sizes.argmax()
        inside[inside] = stays[numbers]


def _components(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the component of each foreground pixel, and the size of each component, from 1."""
    numbers = connected_components(mask)[0][mask]
    return numbers, np.bincount(numbers)


def _fill_holes(mask: NDArray[np.bool_]) -> None:
    """Make background foreground where no path of faces leads to the border of the image."""
    inside = mask[box_around(mask)]
    if not inside.size:
        return
    pieces, count = connected_components(~inside)
    enclosed = np.arange(count + 1) > 0
    for axis in range(mask.ndim):
        for end in (0, -1):  # the border of the box leads to that of the image
            enclosed[pieces.take(end, axis)] = False
    if enclosed.any():
        inside |= enclosed[pieces]


def candidates(
    truths: Iterable[NDArray[np.bool_]],
    remove_small: bool = True,
    scales: Iterable[float] | None = None,
) -> Iterator[Postprocessing]:
    """Yield the post-processing worth trying on a data set, the one that does nothing first.

    Small components are sought below half of the smallest true component (of those above the 2nd
    percentile of sizes, which leaves out slips of the pen).

    Args:
        truths: masks of validation images, ``(*spatial)`` each.
        remove_small: whether to try the removal of small components.
        scales: pixels of each mask that a pixel of the network's grid covers; None: one.
    """
    sizes = [
        size / scale
        for truth, scale in zip(truths, scales or itertools.repeat(1.0), strict=False)
        for size in _components(truth[box_around(truth)])[1][1:]
    ]
    small = int(np.percentile(sizes, 2) / 2) if sizes else 0
    kinds: list[Mapping[str, Any]] = [{}]
    kinds += [{"min_pixels": small}] if remove_small and small > 1 else []
    kinds += [{"largest_only": True}]
    for fill, kind in itertools.product((False, True), kinds):
        yield Postprocessing(**kind, fill_holes=fill)
