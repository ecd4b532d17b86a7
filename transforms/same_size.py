"""Check that an image and its mask cover the same place."""

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from transforms.naming import file_of
from transforms.places import MAX_NEAR_OFFSET, Grid, offset


class SameSized(MapTransform):
    """Check that the files of the named keys have the same size, and volumes the same place.

    The size is that of the file, before any resampling. Volumes may be stored in different orders
    of their axes: their grids are compared in space.

    Shapes: ``(C, *spatial)`` for each key.

    Raises:
        ValueError: two sizes, or grids that lie more than half a voxel apart; the message names
            both files.
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary unchanged."""
        first, *others = self.key_iterator(dict(data))
        for key in others:
            _check_pair(data[first], data[key])
        return dict(data)


def _check_pair(image: Any, label: Any) -> None:
    grids = [_file_grid(array) for array in (image, label)]
    if None not in grids:
        sizes = [grid.shape for grid in grids if grid]
    else:
        sizes = [_file_size(array) for array in (image, label)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"{file_of(label)}: size {sizes[1]}; expected {sizes[0]} as {file_of(image)}; image "
            "and mask must match pixel for pixel"
        )
    distance = offset(*[grid for grid in grids if grid]) if None not in grids else 0.0
    if distance > MAX_NEAR_OFFSET:
        raise ValueError(
            f"{file_of(label)}: lies {distance:.2f} voxels away from {file_of(image)}; expected "
            "the same place; resample the mask to the image"
        )


def _file_size(array: Any) -> tuple[int, ...]:
    """Return the size of the file, or of the array where it was not read from one."""
    shape = array.meta.get("spatial_shape") if isinstance(array, MetaTensor) else None
    return tuple(int(side) for side in (array.shape[1:] if shape is None else shape))


def _file_grid(array: Any) -> Grid | None:
    """Return the grid of a volume that was read from a file."""
    size = _file_size(array)
    if len(size) < 3 or not isinstance(array, MetaTensor) or "original_affine" not in array.meta:
        return None
    return Grid.turned(size, array.meta["original_affine"])
