"""What our readers of images share, without importing MONAI to define them."""

import os
from collections.abc import Sequence
from typing import Any

from pipeline.bundle.received import containment

PathLike = str | os.PathLike[str]


class FileReader:
    """One of MONAI's ``ImageReader`` from its first instance on.

    Those who read images without MONAI, as a check of a cohort, import the module of a reader as
    well.

    Args:
        label: whether the files are masks, whose numbers mean classes or instances.

    Example:
        >>> reader = FileReader()
        >>> from monai.data import ImageReader
        >>> isinstance(reader, ImageReader), reader.read("image.png")
        (True, ['image.png'])
    """

    def __init__(self, label: bool = False) -> None:
        from monai.data import ImageReader

        ImageReader.register(type(self))
        self.label, self.places = label, containment()

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> list[str]:
        """Return the names of the files in ``data``."""
        return [str(data)] if isinstance(data, str | os.PathLike) else [str(name) for name in data]
