"""Naming the file in an error that concerns its content."""

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from monai.data import MetaTensor


def file_of(image: Any) -> str:
    """Return the file an image was read from, or "image" where it carries no such record."""
    if isinstance(image, MetaTensor):
        return str(image.meta.get("filename_or_obj", "image"))
    return "image"


@contextmanager
def named(data: Mapping[Hashable, Any], key: Hashable) -> Iterator[None]:
    """Put the file that ``data[key]`` was read from before the message of a ``ValueError``."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{file_of(data[key])}: {error}") from None
