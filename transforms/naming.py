"""Errors that name the file of an image."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from monai.data import MetaTensor
from monai.transforms import MapTransform


def file_of(image: Any) -> str:
    """Return the file that an image was read from, or "image" if it has no record of it."""
    if isinstance(image, MetaTensor):
        return str(image.meta.get("filename_or_obj", "image"))
    return "image"


def apply_named(
    keys: MapTransform, transform: Callable[[Any], Any], data: Mapping[Hashable, Any]
) -> dict[Hashable, Any]:
    """Apply an array transform to the keys of a dictionary; its ``ValueError`` names the file."""
    out = dict(data)
    for key in keys.key_iterator(out):
        try:
            out[key] = transform(out[key])
        except ValueError as error:
            raise ValueError(f"{file_of(out[key])}: {error}") from None
    return out
