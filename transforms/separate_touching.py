"""Background between cells that touch."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_dst_type, convert_to_numpy
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from transforms.border_weight_map import as_cells
from transforms.naming import apply_named


class SeparateTouching(Transform):
    """Take pixels off cells until ``width`` pixels of background lie between any two.

    Ronneberger et al. (2015, section 3) compute the separation border "using morphological
    operations"; here they are these. For t = 1 … width, wherever fewer than t pixels lie between
    two cells, along an axis or a diagonal, one of them loses its pixels there: the larger for odd
    t, the smaller for even t. So both lose equally, the larger the odd pixel, and nothing is drawn
    by chance: cells of one size rank by their number.

    A cell never vanishes. One that a step would erase keeps its pixels in that step; then its
    neighbour gives way, and where both are too thin the border stays narrower than ``width``. A
    cell that is thinner somewhere than what it loses there may fall into pieces.

    Args:
        width: pixels of background between two cells; 2 takes one pixel off each that touch, 0
            leaves the label as it is.

    Shapes: ``(1, *spatial)``, two or three spatial dimensions, of instance numbers or a binary
    mask, whose components already lie apart; the output has the same numbers, type and shape.

    Raises:
        ValueError: a negative width, or a label as :class:`transforms.BorderWeightMap` refuses it.

    Example:
        >>> SeparateTouching(width=1)(np.array([[[1, 1, 1, 2, 2]]])).tolist()
        [[[1, 1, 0, 2, 2]]]
        >>> SeparateTouching(width=2)(np.array([[[1, 1, 1, 2, 2]]])).tolist()
        [[[1, 1, 0, 0, 2]]]
    """

    def __init__(self, width: int = 2) -> None:
        if width != int(width) or width < 0:
            raise ValueError(f"width: found {width}, expected a whole number of pixels from 0 on")
        self.width = int(width)

    def __call__(self, label: NdarrayOrTensor) -> NdarrayOrTensor:
        """Return the label with a border of background between cells."""
        array = convert_to_numpy(label)
        ranks = _by_size(as_cells(array))
        for gap in range(1, self.width + 1):
            sides = (_beside_smaller, _beside_larger)
            # the second pass finds work only where the first would have erased a cell
            for beside in sides if gap % 2 else reversed(sides):
                ranks = _without(ranks, beside(ranks, 2 * gap + 1))
        separated = np.where(ranks > 0, array[0], 0)[None].astype(array.dtype)
        out, *_ = convert_to_dst_type(separated, label)
        return out


class SeparateTouchingd(MapTransform):
    """:class:`SeparateTouching` on the named keys of a dictionary; an error names the file."""

    def __init__(
        self, keys: KeysCollection, width: int = 2, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = SeparateTouching(width)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with its cells apart."""
        return apply_named(self, self.transform, data)


def _by_size(cells: NDArray[np.integer]) -> NDArray[np.int32]:
    """Number the cells anew, the largest 1; of one size, the lower number first."""
    found, inverse, pixels = np.unique(cells, return_inverse=True, return_counts=True)
    order = np.lexsort((found, -pixels, found == 0))
    rank = np.zeros(len(found), np.int32)
    rank[order] = np.arange(1, len(found) + 1)
    rank[found == 0] = 0
    return rank[inverse.reshape(cells.shape)]


def _beside_smaller(ranks: NDArray[np.int32], window: int) -> NDArray[np.bool_]:
    return (ranks > 0) & (maximum_filter(ranks, window, mode="constant") > ranks)


def _beside_larger(ranks: NDArray[np.int32], window: int) -> NDArray[np.bool_]:
    none = np.iinfo(ranks.dtype).max
    cells = np.where(ranks > 0, ranks, none)
    return (ranks > 0) & (minimum_filter(cells, window, mode="constant", cval=none) < ranks)


def _without(ranks: NDArray[np.int32], taken: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Remove the pixels taken, except those of cells that would have none left."""
    left = np.bincount(ranks[~taken], minlength=ranks.max() + 1)
    return np.where(taken & (left[ranks] > 0), 0, ranks)
