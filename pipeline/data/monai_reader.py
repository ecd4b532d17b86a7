"""What a reader needs to be one of MONAI's, without importing MONAI to define it."""

import os

PathLike = str | os.PathLike[str]


def register_reader(reader: type) -> None:
    """Make a class a subclass of MONAI's ``ImageReader``.

    Called by the first instance: those who read images without MONAI, as a check of a cohort,
    import the module of the class as well.

    Example:
        >>> class Reader: ...
        >>> register_reader(Reader)
        >>> from monai.data import ImageReader
        >>> issubclass(Reader, ImageReader)
        True
    """
    from monai.data import ImageReader

    ImageReader.register(reader)
