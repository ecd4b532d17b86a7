"""What is measured of each structure in a mask, by the name of its label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, generate_binary_structure
from scipy.ndimage import label as connected_components

from pipeline.data.label_numbers import LabelNumbers, numbers_of, painted_numbers
from pipeline.inference.confidence import MIN_ESTIMATED_CASES, Confidence, DiceEstimate
from pipeline.inference.grid import Grid

MM3_PER_ML = 1000.0
FOREGROUND = "foreground"
"""Name of the one label of a bundle that names none."""
SIZE_UNITS = ("ml", "mm2", "voxels", "pixels")
"""Units of a size, the one that a reader wants first."""

Sizes = dict[str, dict[str, float]]
"""Of each label: ``pixels`` and ``mm2``, or ``voxels`` and ``ml``; the second only with a scale."""


@dataclass(frozen=True)
class Measurements:
    """What is measured of a structure in an image.

    Attributes:
        number: in the mask; of a region its first.
        sizes: ``voxels`` and ``ml``, or ``pixels`` and ``mm2``; the second only with a scale.
        components: pieces that touch by faces; of pages, the sum over them.
        touches_border: whether it may go on outside the image; of pages, outside one of them.
        mean_probability: of the label within the mask; None: there is none of it.
        entropy: mean entropy of these probabilities, bits; None: there is none of it.
        expected_dice: of the mask, see :class:`DiceEstimate`; None: it is not known.
        expected_dice_sd: its standard deviation over validation cases; None: it is not known.
    """

    number: int
    sizes: Mapping[str, float]
    components: int
    touches_border: bool
    mean_probability: float | None = None
    entropy: float | None = None
    expected_dice: float | None = None
    expected_dice_sd: float | None = None

    def stated(self) -> dict[str, Any]:
        """Return what is known, as a report has it.

        Example:
            >>> Measurements(1, {"pixels": 9}, 1, False).stated()
            {'number': 1, 'pixels': 9, 'components': 1, 'touches_border': False}
        """
        content = {**vars(self), **self.sizes}
        order = ("number", *self.sizes, *(name for name in vars(self) if name != "sizes"))
        return {name: content[name] for name in order if content[name] is not None}


def sizes_of(stated: Mapping[str, Mapping[str, Any]]) -> Sizes:
    """Return the sizes alone of structures as a report states them.

    Example:
        >>> sizes_of({"lung": Measurements(1, {"pixels": 9}, 1, False).stated()})
        {'lung': {'pixels': 9}}
    """
    return {
        name: {unit: own[unit] for unit in own if unit in SIZE_UNITS}
        for name, own in stated.items()
    }


def measure_structures(
    mask: NDArray[Any],
    labels: LabelNumbers,
    grid: Grid,
    confidences: Sequence[Confidence] = (),
    estimates: Mapping[str, DiceEstimate] | None = None,
) -> dict[str, Measurements]:
    """Measure each structure in a written mask.

    A region is the union of its numbers.

    Args:
        mask: of a volume ``(X, Y, Z)``, of a flat image ``(pages, H, W)``.
        labels: name and number or numbers of each; none: what is not 0 is foreground.
        grid: of the mask.
        confidences: in each label, in their order; none: they are not known.
        estimates: of the Dice to expect, by label, as far as they are known.

    Example:
        >>> grid = Grid.of_axes(np.diag([10.0, 10, 10]))
        >>> mask = np.array([[[1], [2]], [[1], [0]]])
        >>> found = measure_structures(mask, {"whole": [1, 2], "core": 2}, grid)
        >>> found["whole"].sizes, found["core"].sizes
        ({'voxels': 3, 'ml': 3.0}, {'voxels': 1, 'ml': 1.0})
    """
    names = labels or {FOREGROUND: 1}
    single = len(names) == 1
    array = (mask != 0).view(np.uint8) if single else mask
    boxes = find_objects(array)
    numbers = {name: (1,) if single else numbers_of(label) for name, label in names.items()}
    sums = confidences or [Confidence.of_none()] * len(names)
    measured = {}
    for name, number, own in zip(names, painted_numbers(names), sums, strict=True):
        around = _joint_box([boxes[n - 1] for n in numbers[name] if n <= len(boxes)])
        inside = np.isin(array[around], numbers[name])
        measured[name] = Measurements(
            number,
            sizes_of_pixels(int(np.count_nonzero(inside)), grid, len(mask)),
            _components(inside, grid),
            _touches_border(around, array.shape, grid),
            _rounded(own.mean_probability),
            _rounded(own.mean_entropy),
            *expected_dice(own, (estimates or {}).get(name)),
        )
    return measured


def instance_sizes(instances: NDArray[Any], grid: Grid) -> list[dict[str, float]]:
    """Return the size of each instance, in the order of their numbers.

    Args:
        instances: numbers from 1, of a volume ``(X, Y, Z)``, of a flat image ``(pages, H, W)``.
        grid: of the instances.

    Example:
        >>> instance_sizes(np.array([[[1, 2, 2]]]), Grid.of_axes(np.diag([1.0, 0.5])))
        [{'pixels': 1, 'mm2': 0.5}, {'pixels': 2, 'mm2': 1.0}]
    """
    counts = np.bincount(instances.ravel())[1:]
    return [sizes_of_pixels(int(count), grid, len(instances)) for count in counts]


def sizes_of_pixels(pixels: int, grid: Grid, pages: int = 1) -> dict[str, float]:
    """Return a size in pixels and, with a scale, in mm2; of a volume in voxels and ml.

    Args:
        pixels: of the structure.
        grid: of its mask.
        pages: of a flat image; of several no area is stated.

    Example:
        >>> sizes_of_pixels(9, Grid.of_axes(np.diag([10.0, 10, 10])))
        {'voxels': 9, 'ml': 9.0}
    """
    if grid.is_volume:
        unit, scale_unit, scale = "voxels", "ml", MM3_PER_ML
    else:
        unit, scale_unit, scale = "pixels", "mm2", 1.0
    if grid.pixel_size is None or (not grid.is_volume and pages > 1):
        return {unit: pixels}
    return {unit: pixels, scale_unit: float(f"{pixels * grid.pixel_size / scale:.4g}")}


def _joint_box(boxes: Sequence[tuple[slice, ...] | None]) -> tuple[slice, ...]:
    """Return the box around boxes; around none of them an empty one."""
    there = [box for box in boxes if box is not None]
    if not there:
        return (slice(1, 1),) * 3
    return tuple(
        slice(min(side.start for side in sides), max(side.stop for side in sides))
        for sides in zip(*there, strict=True)
    )


def _components(inside: NDArray[np.bool_], grid: Grid) -> int:
    neighbours = generate_binary_structure(inside.ndim, 1)
    if not grid.is_volume:
        neighbours[[0, 2]] = False  # pages are apart
    return int(connected_components(inside, neighbours)[1])


def _touches_border(box: tuple[slice, ...], shape: Sequence[int], grid: Grid) -> bool:
    """Whether a box reaches a side of the volume, or of the pages."""
    sides = list(zip(box, shape, strict=True))[0 if grid.is_volume else 1 :]
    return any(side.start == 0 or side.stop == length for side, length in sides)


def expected_dice(
    own: Confidence, estimate: DiceEstimate | None
) -> tuple[float | None, float | None]:
    """Return the Dice to expect of a mask, and its standard deviation; None: they are not known.

    Args:
        own: confidence in the mask.
        estimate: of its label.
    """
    if estimate is None or estimate.n < MIN_ESTIMATED_CASES:
        return None, None
    expected = estimate.expected_dice(own)
    return _rounded(expected), None if expected is None else _rounded(estimate.sd)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
