"""From a probability map to cells, each with a number."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label as connected_components


class WatershedInstances:
    """Tells cells apart in a probability map, by a watershed from seeds.

    The seeds are the face-connected components at and above the threshold, without the small ones.
    Each grows towards lower probabilities, down to the floor; where two meet is their border. So
    the threshold decides what is one cell, and the floor where a cell ends: a threshold that is
    high enough to part two cells does not make them smaller.

    Args:
        floor: probability below which a pixel belongs to no cell, or the threshold if that is less.
        smallest: pixels a seed needs to be one.

    Raises:
        ValueError: a floor that is no probability, or a negative size.

    Example:
        >>> find = WatershedInstances(floor=0.5)
        >>> find(np.array([[0.6, 0.9, 0.7, 0.6, 0.9, 0.2]]), threshold=0.8)
        array([[1, 1, 1, 2, 2, 0]], dtype=int32)
    """

    def __init__(self, floor: float = 0.5, smallest: int = 0) -> None:
        if not 0 < floor <= 1:
            raise ValueError(f"floor: found {floor}, expected a probability above 0; 0.5 is usual")
        if smallest < 0:
            raise ValueError(f"smallest: found {smallest}, expected 0 or more pixels")
        self.floor, self.smallest = floor, smallest

    def settings(self) -> dict[str, float]:
        """Return the arguments that make another one like it."""
        return {"floor": self.floor, "smallest": self.smallest}

    def __call__(self, probability: NDArray[np.floating], threshold: float) -> NDArray[np.int32]:
        """Return the number of each pixel's cell, from 1, and 0 outside.

        Args:
            probability: ``(*spatial)``.
            threshold: at and above which a pixel can be a seed.
        """
        # half a second that a bundle without cells should not wait for
        from skimage.segmentation import relabel_sequential, watershed

        seeds, _ = connected_components(probability >= threshold)
        sizes = np.bincount(seeds.ravel())
        seeds[sizes[seeds] < self.smallest] = 0
        seeds = relabel_sequential(seeds)[0]
        cells = watershed(-probability, seeds, mask=probability >= min(self.floor, threshold))
        return cells.astype(np.int32)
