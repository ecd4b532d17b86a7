"""What a writer of further results, such as DICOM's, is given of an inferred image."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.inference.report import InferenceCase
from pipeline.inference.structures import Sizes


class Instances(NamedTuple):
    """The separated instances of an image.

    Attributes:
        numbers: from 1, as the mask; no two instances have the same, also in several pages.
        sizes: of each instance, in the order of the numbers.
    """

    numbers: NDArray[Any]
    sizes: Sequence[dict[str, float]]


class InferredImage(NamedTuple):
    """What was inferred of one image, in the pixels of its file.

    Attributes:
        case: the image.
        name: of what is written for it, with the suffix of the mask.
        mask: label map or boolean mask, of a volume ``(X, Y, Z)``, of pages ``(pages, H, W)``.
        maps: probabilities of each label in 8 bits, as the mask; none where they are not wanted.
        is_volume: whether a network of three dimensions inferred it.
        sizes: of each structure.
        flags: coverage, quality and differences, as the report has them.
        instances: None: they are not separated.
    """

    case: InferenceCase
    name: str
    mask: NDArray[Any]
    maps: Sequence[NDArray[np.uint8]]
    is_volume: bool
    sizes: Sizes
    flags: Mapping[str, Any]
    instances: Instances | None = None


class FurtherResults(Protocol):
    """Writes further files of an inferred image.

    Attributes:
        needs_maps: whether it takes the probabilities.
        settings: on which its files depend.
    """

    needs_maps: bool
    settings: Mapping[str, Any]

    def check(self, case: InferenceCase) -> None:
        """Refuse an image that has no such results, before it is inferred.

        Raises:
            ValueError: it has none.
        """

    def write(self, image: InferredImage, folder: Path) -> list[str]:
        """Write the files of an image; return their paths in the folder."""
