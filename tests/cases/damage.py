"""Damage to the bytes of a file, as disks, networks and people do it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

HEADER_BYTES = 400
SUFFIXES = (".png", ".jpg", ".bmp", ".tif", ".ome.tif", ".nii", ".nii.gz", ".mha", ".mhd", ".nrrd",
            ".dcm", "", ".img")  # fmt: skip

Damage = Callable[[Path, np.random.Generator], Path]
"""Changes a file in place, or renames it; returns its path."""


def truncate(path: Path, rng: np.random.Generator) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(rng.integers(0, len(content)))])
    return path


def flip(first: int | None) -> Damage:
    """Change one to eight bytes, among the first ones or anywhere."""

    def damage(path: Path, rng: np.random.Generator) -> Path:
        content = bytearray(path.read_bytes())
        for place in rng.integers(0, len(content[:first]), rng.integers(1, 9)).tolist():
            content[place] = int(rng.integers(0, 256))
        path.write_bytes(content)
        return path

    return damage


def splice(path: Path, rng: np.random.Generator) -> Path:
    """Leave a piece out, write it twice, or put foreign bytes in its place."""
    content = path.read_bytes()
    first, last = sorted(rng.integers(0, len(content) + 1, 2).tolist())
    piece = content[first:last]
    foreign = rng.integers(0, 256, len(piece), np.uint8).tobytes()
    middle = (b"", piece + piece, foreign, bytes(len(piece)))[int(rng.integers(0, 4))]
    path.write_bytes(content[:first] + middle + content[last:])
    return path


def rename(path: Path, rng: np.random.Generator) -> Path:
    stem = path.name.partition(".")[0]
    target = path.with_name(f"renamed_{stem}{rng.choice(SUFFIXES)}")
    shutil.move(path, target)
    return target


DAMAGES: dict[str, Damage] = {
    "truncated": truncate,
    "flipped in the header": flip(HEADER_BYTES),
    "flipped anywhere": flip(None),
    "spliced": splice,
    "renamed": rename,
}
