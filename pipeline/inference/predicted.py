"""What an evaluator predicted of a page or a volume, as it is written."""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.data.label_numbers import LabelNumbers
from pipeline.inference.confidence import Confidence
from pipeline.inference.formats import in_bits
from pipeline.inference.label_map import CONFIDENCES, INSTANCES, PROBABILITY
from pipeline.inference.label_masks import is_plain
from pipeline.inference.outer_contour import outer_masks


class Predicted(NamedTuple):
    """What was predicted of a page ``(H, W)`` or a volume ``(X, Y, Z)``.

    Attributes:
        mask: the label map; of one label that is foreground and no more, a mask.
        instances: their numbers; None: they are not separated.
        maps: probabilities of each label in the bits that are written, one after the other.
        small_maps: the same in 8 bits, for further results; none where they are not wanted.
        confidences: in each label.
        outer: what lies in each outer contour, one after the other; none: they are not wanted.
    """

    mask: NDArray[Any]
    instances: NDArray[Any] | None
    maps: Iterable[NDArray[Any]]
    small_maps: Sequence[NDArray[np.uint8]]
    confidences: Sequence[Confidence]
    outer: Iterable[NDArray[np.bool_]] = ()

    @classmethod
    def of_item(
        cls,
        item: Mapping[str, Any],
        labels: LabelNumbers,
        bits: int | None,
        small: bool,
        outer: Mapping[str, float],
    ) -> "Predicted":
        """Return what ``ToLabelMap`` left in an item.

        Args:
            item: of a batch.
            labels: name of each label and its number or numbers.
            bits: of the probability maps; None: none are written.
            small: whether further results take maps in 8 bits.
            outer: thresholds of the outer contours that are written, by label.
        """
        label_map: NDArray[Any] = item["pred"][0].numpy(force=True)
        mask = label_map.view(np.bool_) if is_plain(labels) else label_map
        # a generator: the maps of a volume are gigabytes
        maps = () if bits is None else (in_bits(one, bits) for one in item[PROBABILITY])
        small_maps = [in_bits(one, 8) for one in item[PROBABILITY]] if small else []
        inside = outer_masks(label_map, item[PROBABILITY], labels, outer) if outer else ()
        return cls(mask, item.get(INSTANCES), maps, small_maps, item[CONFIDENCES], inside)


def joined_pages(pages: Sequence[Predicted]) -> Predicted:
    """Return what was predicted of all pages of a file as one, without maps and outer contours.

    Instances, of which each page numbers its own, have numbers that no two share.
    """
    numbered = [page.instances for page in pages if page.instances is not None]
    small_maps = [np.stack(maps) for maps in zip(*(p.small_maps for p in pages), strict=True)]
    confidences = zip(*(page.confidences for page in pages), strict=True)
    return Predicted(
        np.stack([page.mask for page in pages]),
        numbered_over(numbered) if numbered else None,
        (),
        small_maps,
        [reduce(add, own) for own in confidences],
    )


def numbered_over(pages: Sequence[NDArray[Any]]) -> NDArray[np.int32]:
    """Return the instances of pages, each of which begins with 1, numbered over all.

    Example:
        >>> numbered_over([np.array([[1, 2]]), np.array([[0, 1]])]).tolist()
        [[[1, 2]], [[0, 3]]]
    """
    before = np.cumsum([0, *(int(page.max(initial=0)) for page in pages[:-1])])
    numbers = np.stack(pages).astype(np.int32)
    return np.where(numbers > 0, numbers + before[:, None, None], 0).astype(np.int32)
