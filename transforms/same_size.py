"""Check that an image and its mask have the same size."""

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from transforms.naming import file_of


class SameSized(MapTransform):
    """Check that the named keys of a dictionary have the same spatial size.

    Shapes: ``(C, *spatial)`` for each key, with equal ``spatial``.

    Raises:
        ValueError: two sizes; the message names both files.
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary unchanged."""
        first, *others = self.key_iterator(dict(data))
        for key in others:
            expected, size = tuple(data[first].shape[1:]), tuple(data[key].shape[1:])
            if size != expected:
                raise ValueError(
                    f"{file_of(data[key])}: size {size}; expected {expected} as "
                    f"{file_of(data[first])}; image and mask must match pixel for pixel"
                )
        return dict(data)
