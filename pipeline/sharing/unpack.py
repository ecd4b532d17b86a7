"""Unpack an archive into a folder that MONAI's own tools can use."""

from pathlib import Path

from pipeline.inference.trained_model import read_checkpoint, serialise
from pipeline.sharing.archive import Archive

SAFE_WEIGHTS = "models/model.safetensors"
"""The only weights in an archive: numbers with a header, and nothing that could run."""
WEIGHTS = "models/model.pt"
"""The weights as MONAI's tools and our configs read them; made from the safe ones."""


def unpack(archive: Archive, folder: Path) -> None:
    """Write an archive's files below a folder, and the weights as ``model.pt``, too.

    Args:
        archive: an archive that an audit has accepted.
        folder: for the bundle.

    Raises:
        RefusedError: a file was damaged.
        ValueError: the weights are no safetensors file.
    """
    for file in archive.files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        with (folder / file).open("wb") as out:
            out.writelines(archive.pieces(file))
    if SAFE_WEIGHTS in archive.files:
        weights = read_checkpoint(folder / SAFE_WEIGHTS)
        (folder / WEIGHTS).write_bytes(serialise(weights))
