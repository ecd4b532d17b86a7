"""The structures that masks hold: how many of each label, how much of it, and how large."""

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.data.fingerprint import Listed
from pipeline.data.label_numbers import LabelNumbers, numbers_of
from pipeline.data.pixels import Pixels
from pipeline.data.readers import read_pixels
from transforms.whole_numbers import whole_numbers

MAX_ELONGATION = 3
"""How many times as long as it is thick a structure counts at most: of a vessel or a membrane, a
short piece shows what it is."""
MAX_MEASURED_SIDE = 256
"""Pixels along an axis at which a structure's thickness is measured."""


class Structure(NamedTuple):
    """What a mask holds of one label.

    Attributes:
        pixels: pixels or voxels of the label.
        millilitres: their volume; 0 of flat masks.
        components: parts that do not touch each other, corners included; of instances their number.
        size: longest side of the largest part, of instances of the median one, but at most
            :data:`MAX_ELONGATION` times its thickness; pixels, of volumes mm.
    """

    pixels: int
    millilitres: float
    components: int
    size: float


def case_structures(
    cases: Sequence[Listed],
    labels: LabelNumbers,
    ignore: int | None = None,
    tick: Callable[[], object] = lambda: None,
) -> list[dict[str, Structure]]:
    """Measure the structures in the mask of every case.

    Args:
        cases: cases whose masks can be read; numbered instances are counted by their own file.
        labels: number of each label in the masks, or the numbers of a region, by name. A single
            label 1 is whatever is neither 0 nor ignored.
        ignore: number in the masks that is ignored, if any.
        tick: function to call after each case.

    Returns:
        The structure of each label that a case has, by name.
    """

    def measure(case: Listed) -> dict[str, Structure]:
        structures = _of_case(case, labels, ignore)
        tick()
        return structures

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(measure, cases))


def _of_case(case: Listed, labels: LabelNumbers, ignore: int | None) -> dict[str, Structure]:
    pixels = read_pixels(case.instances or case.label, label=True)
    numbers = whole_numbers(pixels.array)
    found = {}
    for name in labels:
        if case.instances:
            structure = _instances(numbers)
        else:
            structure = measure_structure(_inside(numbers, labels, name, ignore), _sampling(pixels))
        if structure.pixels:
            litres = _voxel_millilitres(pixels) * structure.pixels
            found[name] = structure._replace(millilitres=litres)
    return found


def _inside(
    numbers: NDArray[Any], labels: LabelNumbers, name: str, ignore: int | None
) -> NDArray[np.bool_]:
    if len(labels) == 1 and numbers_of(labels[name]) == (1,):
        return (numbers != 0) & (numbers != ignore) if ignore is not None else numbers != 0
    return np.isin(numbers, numbers_of(labels[name]))


def measure_structure(inside: NDArray[np.bool_], sampling: Sequence[float]) -> Structure:
    """Measure what a mask holds.

    Args:
        inside: ``(*spatial)``, where the structure is.
        sampling: distance of the pixels along each axis.

    Example:
        >>> square = np.zeros((20, 20), bool)
        >>> square[2:8, 2:8] = square[12:15, 12:15] = True
        >>> measure_structure(square, (1.0, 1.0))
        Structure(pixels=45, millilitres=0.0, components=2, size=6.0)
    """
    (place,) = ndimage.find_objects(inside.astype(np.uint8)) or (None,)
    if place is None:
        return Structure(0, 0.0, 0, 0.0)
    parts, count = ndimage.label(inside[place], np.ones((3,) * inside.ndim))
    pixels = np.bincount(parts.ravel())
    largest = int(pixels[1:].argmax()) + 1
    box = ndimage.find_objects(parts)[largest - 1]
    size = _size(parts[box] == largest, sampling)
    return Structure(int(pixels[1:].sum()), 0.0, int(count), size)


def _size(part: NDArray[np.bool_], sampling: Sequence[float]) -> float:
    longest = max(side * step for side, step in zip(part.shape, sampling, strict=True))
    strides = [math.ceil(side / MAX_MEASURED_SIDE) for side in part.shape]
    coarse = np.pad(part[tuple(slice(None, None, stride) for stride in strides)], 1)
    steps = [step * stride for step, stride in zip(sampling, strides, strict=True)]
    thickness = 2 * float(ndimage.distance_transform_edt(coarse, sampling=steps).max())
    return float(min(longest, MAX_ELONGATION * thickness))


def _instances(numbers: NDArray[Any]) -> Structure:
    boxes = [box for box in ndimage.find_objects(numbers.astype(np.int64)) if box is not None]
    sides = [max(axis.stop - axis.start for axis in box) for box in boxes]
    pixels = int(np.count_nonzero(numbers))
    return Structure(pixels, 0.0, len(boxes), float(np.median(sides)) if sides else 0.0)


def _sampling(pixels: Pixels) -> tuple[float, ...]:
    if pixels.affine is None:
        return (1.0,) * len(pixels.size)
    return tuple(float(mm) for mm in np.linalg.norm(pixels.affine[:3, :3], axis=0))


def _voxel_millilitres(pixels: Pixels) -> float:
    return 0.0 if pixels.affine is None else math.prod(_sampling(pixels)) / 1000
