"""From a probability map to instances, each with a number."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label as connected_components

from pipeline.metrics.boxes import box_around


@dataclass(frozen=True)
class WatershedInstances:
    """Separates instances in a probability map, by a watershed from seeds.

    The seeds are the face-connected components at and above the threshold, without the small ones.
    Each grows towards lower probabilities, down to the floor; where two meet is their border. So
    the threshold decides what is one instance, and the floor where an instance ends: a threshold
    that is high enough to separate two instances does not make them smaller. Of equally probable
    pixels between two seeds, either may be flooded first.

    With a network that has learnt distances (:class:`transforms.BorderDistance`), the seeds are
    sought in them, and grow towards lower distances; the probability says where an instance ends.

    Args:
        floor: probability below which a pixel belongs to no instance, or the threshold if that is
            less and of probabilities.
        min_seed_pixels: pixels of the network's grid that a seed needs.
        seeds: map that the threshold is of: ``"probability"``, or ``"distance"``.

    Raises:
        ValueError: a floor that is no probability, a negative size, or an unknown map.

    Example:
        >>> separate = WatershedInstances(floor=0.5)
        >>> separate(np.array([[0.6, 0.9, 0.7, 0.6, 0.9, 0.2]]), threshold=0.8)
        array([[1, 1, 1, 2, 2, 0]], dtype=int32)
        >>> by_distance = WatershedInstances(floor=0.5, seeds="distance")
        >>> distance = np.array([[0.3, 0.9, 0.4, 0.2, 0.8, 0.3]])
        >>> by_distance(np.array([[0.9, 0.9, 0.9, 0.9, 0.9, 0.2]]), 0.5, distance[None])
        array([[1, 1, 1, 2, 2, 0]], dtype=int32)
    """

    floor: float = 0.5
    min_seed_pixels: int = 0
    seeds: Literal["probability", "distance"] = "probability"

    def __post_init__(self) -> None:
        if not 0 < self.floor <= 1:
            raise ValueError(
                f"floor: found {self.floor}, expected a probability above 0; 0.5 is usual"
            )
        if self.seeds not in ("probability", "distance"):
            raise ValueError(f"seeds: found {self.seeds}, expected probability or distance")
        if self.min_seed_pixels < 0:
            raise ValueError(
                f"min_seed_pixels: found {self.min_seed_pixels}, expected 0 or more pixels"
            )

    def at(self, scale: float) -> "WatershedInstances":
        """Return the same for a grid where ``scale`` pixels stand for one of the network's."""
        return replace(self, min_seed_pixels=round(self.min_seed_pixels * scale))

    @property
    def further_maps(self) -> int:
        """How many maps the network gives beside the probability."""
        return int(self.seeds == "distance")

    def __call__(
        self,
        probability: NDArray[np.floating],
        threshold: float,
        further: NDArray[np.floating] | None = None,
    ) -> NDArray[np.int32]:
        """Return the number of each pixel's instance, from 1, and 0 outside.

        Args:
            probability: ``(*spatial)``.
            threshold: at and above which a pixel can be a seed.
            further: ``(1, *spatial)``, the distances; None: the network gives none.

        Raises:
            ValueError: distances are needed and missing, or there and not read.
        """
        check_further(self.further_maps, further)
        if further is None:
            return self._grown(probability, threshold, probability >= min(self.floor, threshold))
        return self._grown(further[0], threshold, probability >= self.floor)

    def _grown(
        self, heights: NDArray[np.floating], threshold: float, inside: NDArray[np.bool_]
    ) -> NDArray[np.int32]:
        """Flood the inside from the seeds, from large to small heights."""
        seeds = self._seeds((heights >= threshold) & inside)
        pieces, count = connected_components(inside)
        seeded = seeds > 0
        piece, seed = pieces[seeded], seeds[seeded]
        instance_in = np.zeros(count + 1, np.int32)
        instance_in[piece] = seed
        is_shared = np.zeros(count + 1, bool)
        is_shared[piece[instance_in[piece] != seed]] = True
        instances: NDArray[np.int32] = instance_in[pieces]
        if is_shared.any():  # elsewhere the seed takes all of its piece
            shared = is_shared[pieces]
            box = box_around(shared)
            _flood(instances[box], heights[box], seeds[box], shared[box])
        return instances

    def _seeds(self, high: NDArray[np.bool_]) -> NDArray[np.int32]:
        seeds, count = connected_components(high)
        is_large = np.bincount(seeds[high], minlength=count + 1) >= max(1, self.min_seed_pixels)
        numbers = np.where(is_large, np.cumsum(is_large), 0).astype(np.int32)
        return numbers[seeds]


def check_further(expected: int, further: NDArray[np.floating] | None) -> None:
    """Refuse maps that are needed and missing, or given and not read.

    Raises:
        ValueError: another number of maps than expected.
    """
    count = 0 if further is None else len(further)
    if count != expected:
        raise ValueError(
            f"instances: found {count} maps of the network beside the probability, expected "
            f"{expected}; give the overlays that the network was trained with, as heads/distance"
        )


def _flood(
    instances: NDArray[np.int32],
    heights: NDArray[np.floating],
    seeds: NDArray[np.int32],
    shared: NDArray[np.bool_],
) -> None:
    """Divide the pieces that several seeds share."""
    # half a second that a bundle without instances should not wait for
    from skimage.segmentation import watershed

    flooded = watershed(-heights, np.where(shared, seeds, 0), mask=shared)
    instances[shared] = flooded[shared]
