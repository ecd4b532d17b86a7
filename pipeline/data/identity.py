"""The identity of cases and cohorts: by decoded pixels, not by the bytes of files."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pipeline.data.pixel_hashes import label_sha256, pixels_sha256, values_sha256
from pipeline.data.readers import read_pixels


class PixelHashes(NamedTuple):
    """Hashes of a file's decoded pixels.

    Attributes:
        pixels: hash of number format, shape, geometry and values; of a label, without the format.
        values: hash of the values alone, see :func:`pipeline.data.pixel_hashes.values_sha256`.
    """

    pixels: str
    values: str


def pixel_sha256(path: Path, label: bool = False) -> str:
    """Hash the decoded pixels of a file: number format, shape, geometry and values.

    Compression, metadata and byte order do not matter. Flat images have no geometry.

    Args:
        path: flat image or volume.
        label: whether it holds label numbers, whose number format does not matter.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the format is unknown, or the file is corrupt.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from PIL import Image
        >>> folder = Path(tempfile.mkdtemp())
        >>> image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
        >>> image.save(folder / "fast.png", compress_level=1)
        >>> image.save(folder / "uncompressed.tif")
        >>> pixel_sha256(folder / "fast.png") == pixel_sha256(folder / "uncompressed.tif")
        True
    """
    return hash_pixels(path, label).pixels


def hash_pixels(path: Path, label: bool = False) -> PixelHashes:
    """Hash the decoded pixels of a file, with and without number format and geometry.

    The hashes are kept in memory as long as the file's time and size do not change.

    Args:
        path: flat image or volume.
        label: whether it holds label numbers.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the format is unknown, or the file is corrupt.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    stamp = path.stat()
    return _hash_unchanged(path.resolve(), label, stamp.st_mtime_ns, stamp.st_size)


@cache
def _hash_unchanged(path: Path, label: bool, mtime_ns: int, size_bytes: int) -> PixelHashes:
    pixels = read_pixels(path, label)
    hash_array = label_sha256 if label else pixels_sha256
    return PixelHashes(hash_array(pixels.array, pixels.affine), values_sha256(pixels.array))


def cohort_sha256(splits: Mapping[str, Sequence[Mapping[str, str]]]) -> str:
    """Hash a cohort and its splits: which pixels, with which label, stand where in which split.

    The order of cases counts, since a seed draws training cases by their place. Names of files and
    folders do not, nor the bytes of files. Nor do group columns: no network is trained on them, so
    a corrected age leaves the models of a cohort its own. ``patient`` decides the splits, which are
    hashed; the intervals of an evaluation depend on it, and an evaluation keeps its own table.

    Args:
        splits: hash of the pixels of each file of each case, by its key, by split.

    Example:
        >>> first, second = {"image": "0a", "label": "0b"}, {"image": "1a", "label": "1b"}
        >>> cohort = cohort_sha256({"training": [first], "test": [second]})
        >>> cohort == cohort_sha256({"test": [second], "training": [first], "validation": []})
        True
        >>> cohort == cohort_sha256({"training": [second], "test": [first]})
        False
    """
    content = {split: [dict(case) for case in cases] for split, cases in splits.items() if cases}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
