"""The mask and the probabilities of each structure, in the order of the source's planes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.bundle.codes import Structure
from pipeline.data.label_numbers import LabelNumbers, labels_overlap, numbers_of


@dataclass(frozen=True)
class StructureMasks:
    """What was inferred, plane by plane.

    Attributes:
        structures: one for each label, in the labels' order.
        labels: name of each label and its number or numbers in the label map.
        label_map: ``(planes, rows, columns)``.
        maps: probabilities of each structure in 8 bits, alike; none where they are not wanted.

    Example:
        >>> lung = Structure(1, "lung", *[("39607008", "SCT", "Lung")] * 2, (197, 165, 145))
        >>> masks = StructureMasks([lung], {"lung": 7}, np.array([[[0, 7]]]))
        >>> masks.mask(lung).tolist(), masks.segment_numbers().tolist()
        ([[[False, True]]], [[[0, 1]]])
    """

    structures: Sequence[Structure]
    labels: LabelNumbers
    label_map: NDArray[np.generic]
    maps: Sequence[NDArray[np.uint8]] = ()

    def __iter__(self) -> Iterator[tuple[Structure, NDArray[np.bool_]]]:
        """Return each structure with its mask."""
        return ((structure, self.mask(structure)) for structure in self.structures)

    def of_plane(self, plane: int) -> Iterator[tuple[Structure, NDArray[np.bool_]]]:
        """Return each structure that is in a plane, with its mask there, ``(rows, columns)``."""
        pixels = self.label_map[plane]
        present = set(np.unique(pixels).tolist()) - {0}
        for structure in self.structures:
            if present & self._numbers(structure):
                yield structure, self._within(pixels, structure)

    @property
    def overlap(self) -> bool:
        """Whether a pixel may belong to two structures."""
        return labels_overlap(self.labels)

    def mask(self, structure: Structure) -> NDArray[np.bool_]:
        """Return the mask of a structure; of a region, the union of its labels."""
        return self._within(self.label_map, structure)

    def _within(self, pixels: NDArray[np.generic], structure: Structure) -> NDArray[np.bool_]:
        return np.isin(pixels, list(self._numbers(structure)))

    def _numbers(self, structure: Structure) -> set[int]:
        """Return the numbers of a structure in the label map."""
        return set(numbers_of(self.labels[structure.name]))

    def probability(self, structure: Structure) -> NDArray[np.uint8]:
        """Return the probabilities of a structure in 8 bits."""
        return self.maps[structure.number - 1]

    def segment_numbers(self) -> NDArray[np.uint16]:
        """Return the number of each pixel's segment, 0 outside, of structures without overlap."""
        segments = np.zeros(1 + int(self.label_map.max(initial=0)), np.uint16)
        for structure in self.structures:
            own = [number for number in self._numbers(structure) if number < len(segments)]
            segments[own] = structure.number
        return segments[self.label_map.astype(np.intp)]

    def stacked(self) -> NDArray[np.uint8]:
        """Return the masks of all structures, ``(planes, rows, columns, structures)``."""
        return np.stack([mask.astype(np.uint8) for _, mask in self], axis=-1)
