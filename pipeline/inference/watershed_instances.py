"""From a probability map to instances, each with a number."""

from dataclasses import dataclass, replace

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

    Args:
        floor: probability below which a pixel belongs to no instance, or the threshold if that is
            less.
        min_seed_pixels: pixels of the network's grid that a seed needs.

    Raises:
        ValueError: a floor that is no probability, or a negative size.

    Example:
        >>> separate = WatershedInstances(floor=0.5)
        >>> separate(np.array([[0.6, 0.9, 0.7, 0.6, 0.9, 0.2]]), threshold=0.8)
        array([[1, 1, 1, 2, 2, 0]], dtype=int32)
    """

    floor: float = 0.5
    min_seed_pixels: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.floor <= 1:
            raise ValueError(
                f"floor: found {self.floor}, expected a probability above 0; 0.5 is usual"
            )
        if self.min_seed_pixels < 0:
            raise ValueError(
                f"min_seed_pixels: found {self.min_seed_pixels}, expected 0 or more pixels"
            )

    def at(self, scale: float) -> "WatershedInstances":
        """Return the same for a grid where ``scale`` pixels stand for one of the network's."""
        return replace(self, min_seed_pixels=round(self.min_seed_pixels * scale))

    def __call__(self, probability: NDArray[np.floating], threshold: float) -> NDArray[np.int32]:
        """Return the number of each pixel's instance, from 1, and 0 outside.

        Args:
            probability: ``(*spatial)``.
            threshold: at and above which a pixel can be a seed.
        """
        seeds = self._seeds(probability >= threshold)
        inside = probability >= min(self.floor, threshold)
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
            _flood(instances[box], probability[box], seeds[box], shared[box])
        return instances

    def _seeds(self, high: NDArray[np.bool_]) -> NDArray[np.int32]:
        seeds, count = connected_components(high)
        is_large = np.bincount(seeds[high], minlength=count + 1) >= max(1, self.min_seed_pixels)
        numbers = np.where(is_large, np.cumsum(is_large), 0).astype(np.int32)
        return numbers[seeds]


def _flood(
    instances: NDArray[np.int32],
    probability: NDArray[np.floating],
    seeds: NDArray[np.int32],
    shared: NDArray[np.bool_],
) -> None:
    """Divide the pieces that several seeds share."""
    # half a second that a bundle without instances should not wait for
    from skimage.segmentation import watershed

    flooded = watershed(-probability, np.where(shared, seeds, 0), mask=shared)
    instances[shared] = flooded[shared]
