"""From a probability map to a mask, and what is done to the mask then."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes
from scipy.ndimage import label as connected_components


class Postprocessing:
    """Cuts a probability map at the threshold and cleans the mask.

    In this order: components smaller than ``smallest`` go; all but the largest go; holes are
    filled. Components touch by faces.

    Args:
        smallest: pixels a component needs to stay; 0 keeps all.
        largest_alone: whether the largest component alone stays.
        fill_holes: whether background that is shut in becomes foreground.

    Raises:
        ValueError: a negative size.

    Example:
        >>> row = np.array([[0.9, 0.1, 0.9, 0.9]])
        >>> Postprocessing(smallest=2)(row, 0.5).astype(int).tolist()
        [[0, 0, 1, 1]]
    """

    def __init__(
        self, smallest: int = 0, largest_alone: bool = False, fill_holes: bool = False
    ) -> None:
        if smallest < 0:
            raise ValueError(f"smallest: found {smallest}, expected 0 or more pixels")
        self.smallest, self.largest_alone, self.fill_holes = smallest, largest_alone, fill_holes

    def __call__(self, probability: NDArray[np.floating], threshold: float) -> NDArray[np.bool_]:
        """Return the mask, ``(*spatial)`` as the map."""
        mask: NDArray[np.bool_] = probability >= threshold
        if self.smallest > 1 or self.largest_alone:
            mask = self._without_small(mask)
        if self.fill_holes:
            mask = binary_fill_holes(mask)
        return mask

    def _without_small(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        pieces, count = connected_components(mask)
        if not count:
            return mask
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        kept = sizes >= max(1, self.smallest)
        if self.largest_alone:
            kept &= np.arange(len(sizes)) == sizes.argmax()
        out: NDArray[np.bool_] = kept[pieces]
        return out

    def settings(self) -> dict[str, Any]:
        """Return the arguments that make another one like it."""
        return {
            "smallest": self.smallest,
            "largest_alone": self.largest_alone,
            "fill_holes": self.fill_holes,
        }


def candidates(truths: Sequence[NDArray[np.bool_]], specks: bool = True) -> Iterator[Postprocessing]:
    """Yield what is worth trying on a data set, the one that does nothing first.

    Specks are sought below half of the smallest true component (of those above the 2nd percentile
    of sizes, which leaves out slips of the pen).

    Args:
        truths: masks of validation images, ``(*spatial)`` each.
        specks: whether to try leaving out small components.
    """
    sizes = [
        size for truth in truths for size in np.bincount(connected_components(truth)[0].ravel())[1:]
    ]
    speck = int(np.percentile(sizes, 2) / 2) if sizes else 0
    kinds: list[Mapping[str, Any]] = [{}]
    kinds += [{"smallest": speck}] if specks and speck > 1 else []
    kinds += [{"largest_alone": True}]
    for fill, kind in itertools.product((False, True), kinds):
        yield Postprocessing(**kind, fill_holes=fill)
