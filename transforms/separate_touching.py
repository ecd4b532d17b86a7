"""Background between instances that touch."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_dst_type
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from transforms.border_weight_map import number_instances
from transforms.naming import apply_named
from transforms.whole_numbers import label_array, whole_numbers


class SeparateTouching(Transform):
    """Remove pixels of instances until ``width`` pixels of background lie between any two.

    Ronneberger et al. (2015, section 3) compute the separation border "using morphological
    operations"; the paper does not name them. This class uses the following steps. For
    t = 1 … width, where fewer than t pixels lie between two instances, along an axis or a diagonal,
    one of them loses its pixels there: the larger for odd t, the smaller for even t. Both lose the
    same number of pixels, or the larger one more. Nothing is random: instances of equal size rank
    by their number.

    An instance never vanishes. If a step would erase it, it keeps its pixels in that step, and its
    neighbour loses pixels instead; where both are too thin, the border stays narrower than
    ``width``. An instance that is locally thinner than its loss may fall into pieces.

    Args:
        width: pixels of background between two instances; 2 removes one pixel of each of two that
            touch, 0 leaves the label unchanged.

    Shapes: ``(1, *spatial)``, two or three spatial dimensions, of instance numbers or a binary
    mask, whose components are already separate; the output has the same numbers, type and shape.

    Raises:
        ValueError: a negative width, or a label that :class:`transforms.BorderWeightMap` refuses.

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
        """Return the label with a border of background between instances."""
        array = whole_numbers(label_array(label))
        ranks = _rank_by_size(number_instances(array))
        for gap in range(1, self.width + 1):
            steps = (_near_smaller, _near_larger)
            # the second step removes pixels only where the first would have erased an instance
            for near in steps if gap % 2 else reversed(steps):
                ranks = _remove(ranks, near(ranks, 2 * gap + 1))
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
        """Return the dictionary with its instances separated."""
        return apply_named(self, self.transform, data)


def _rank_by_size(instances: NDArray[np.integer]) -> NDArray[np.int32]:
    """Number the instances by size, the largest 1; of equal size, the lower number first."""
    numbers, inverse, pixels = np.unique(instances, return_inverse=True, return_counts=True)
    order = np.lexsort((numbers, -pixels, numbers == 0))
    rank = np.zeros(len(numbers), np.int32)
    rank[order] = np.arange(1, len(numbers) + 1)
    rank[numbers == 0] = 0
    return rank[inverse.reshape(instances.shape)]


def _near_smaller(ranks: NDArray[np.int32], window: int) -> NDArray[np.bool_]:
    return (ranks > 0) & (maximum_filter(ranks, window, mode="constant") > ranks)


def _near_larger(ranks: NDArray[np.int32], window: int) -> NDArray[np.bool_]:
    none = np.iinfo(ranks.dtype).max
    instances = np.where(ranks > 0, ranks, none)
    return (ranks > 0) & (minimum_filter(instances, window, mode="constant", cval=none) < ranks)


def _remove(ranks: NDArray[np.int32], removed: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Set the removed pixels to 0, except those of instances that would have none left."""
    remaining = np.bincount(ranks[~removed], minlength=ranks.max() + 1)
    return np.where(removed & (remaining[ranks] > 0), 0, ranks)
