"""A label map that a viewer uploads: brought to the grid of its image and the bundle's numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.orientations import apply_orientation, io_orientation, ornt_transform
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from pipeline.data.label_numbers import LabelNumbers, all_numbers, painted_numbers
from pipeline.data.readers import read_pixels
from pipeline.data.suffixes import suffix_of
from pipeline.data.volumes import read_volume
from pipeline.errors import few
from transforms.places import MAX_FINE_OFFSET, Grid, offset


class NamedNumber(BaseModel):
    """What a viewer says of a number in its label map.

    Attributes:
        name: of the label.
        idx: number, as 3D Slicer's plug-in counts its segments.
        segment: number, as OHIF's plug-in states it.
    """

    name: str
    idx: int | None = None
    segment: int | None = Field(default=None, alias="segmentIndex")


def numbers_on_grid(path: Path, grid: Grid) -> NDArray[Any]:
    """Return the numbers of an uploaded label map, ``(X, Y, Z)`` as its image is stored.

    Args:
        path: of the file.
        grid: of the image.

    Raises:
        ValueError: it lies on another grid, or is no label map.
    """
    suffix = suffix_of(path)
    if suffix == ".bin":
        return _of_ohif(path, grid)
    if suffix == ".png":
        array, affine = read_pixels(path, label=True).array.T, grid.affine
        array = array.reshape(*array.shape, 1)
    else:
        volume = read_volume(path, label=True)
        array, affine = np.atleast_3d(volume.array), volume.affine
    if array.ndim > 3:
        raise ValueError(
            f"label: {array.shape[3]} values a voxel, expected one; submit one label map"
        )
    return _turned(array, affine, grid)


def _of_ohif(path: Path, grid: Grid) -> NDArray[Any]:
    size, voxels = path.stat().st_size, int(np.prod(grid.shape))
    if size not in (voxels, 2 * voxels):
        raise ValueError(
            f"label: found {size} bytes, expected {voxels} or {2 * voxels} for "
            f"{_size(grid.shape)} voxels of 8 or 16 bits; is it the label of this image?"
        )
    flat = np.fromfile(path, np.uint8 if size == voxels else "<u2")
    return flat.reshape(grid.shape[::-1]).T


def _turned(array: NDArray[Any], affine: NDArray[np.float64], grid: Grid) -> NDArray[Any]:
    if not np.isfinite(affine).all() or not np.linalg.det(affine[:3, :3]):
        raise ValueError("label: its header gives its voxels no place; save it again")
    grids = Grid.turned(grid.shape, grid.affine), Grid.turned(array.shape, affine)
    if grids[0].shape != grids[1].shape:
        raise ValueError(
            f"label: {_size(grids[1].shape)} voxels to the right, front and top, expected "
            f"{_size(grids[0].shape)} as its image; submit it on the grid of the image"
        )
    distance = offset(*grids)
    if distance > MAX_FINE_OFFSET:
        raise ValueError(
            f"label: lies {distance:.2g} voxels beside its image, expected at most "
            f"{MAX_FINE_OFFSET}; is it the label of this image?"
        )
    turn = ornt_transform(io_orientation(affine), io_orientation(grid.affine))
    return np.asarray(apply_orientation(array, turn))


def renumbered(
    array: NDArray[Any], named: Sequence[NamedNumber], labels: LabelNumbers
) -> NDArray[Any]:
    """Return a label map in the numbers of the bundle's labels.

    Args:
        array: numbers of the viewer.
        named: their names; none: they are the bundle's already.
        labels: number or numbers of each label by name.

    Raises:
        ValueError: fractions, a number without a name, or a name that is no label.

    Example:
        >>> named = [NamedNumber(name="tumour", idx=1), NamedNumber(name="liver", idx=2)]
        >>> renumbered(np.array([0, 1, 2]), named, {"liver": 3, "tumour": 5}).tolist()
        [0, 5, 3]
    """
    values = np.unique(array)
    if not np.array_equal(values, np.round(values)) or (values < 0).any():
        raise ValueError("label: found fractions or negative values, expected whole numbers")
    names = _names(named, labels)
    numbers = {number: number for number in all_numbers(labels)}
    if names is not None:
        own = dict(zip(labels, painted_numbers(labels), strict=True))
        numbers = {number: own[name] for number, name in names.items()}
    wrong = [int(value) for value in values if value and int(value) not in numbers]
    if wrong:
        raise ValueError(
            f"label: found the numbers {few([str(number) for number in wrong])}, expected "
            f"{few([str(number) for number in sorted(numbers)])}; use the segments that the "
            f"plug-in made: {few(list(labels))}"
        )
    result = np.zeros(array.shape, np.min_scalar_type(max(numbers.values(), default=0)))
    for value in values[values > 0]:
        result[array == value] = numbers[int(value)]
    return result


def _names(named: Sequence[NamedNumber], labels: LabelNumbers) -> Mapping[int, str] | None:
    """Return the label of each number of the viewer; None: it names none."""
    if not named:
        return None
    unknown = [one.name for one in named if one.name not in labels]
    if unknown:
        raise ValueError(
            f"label_info: found the segments {few(unknown)}, expected {few(list(labels))}; rename "
            "or remove them in the viewer"
        )
    if all(one.segment is not None for one in named):
        numbers = [int(one.segment or 0) for one in named]
    else:  # Slicer numbers the segments that it exports anew: its own count must be the same
        numbers = list(range(1, len(named) + 1))
        if any(one.idx not in (None, number) for one, number in zip(named, numbers, strict=True)):
            raise ValueError(
                "label_info: its idx do not count from 1, as where segments stand between that "
                "are no labels; move those behind the labels, or remove them"
            )
    if len(set(numbers)) < len(numbers) or min(numbers) < 1:
        raise ValueError("label_info: two segments with one number, or one below 1")
    return dict(zip(numbers, (one.name for one in named), strict=True))


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
