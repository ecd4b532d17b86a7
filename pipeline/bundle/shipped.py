"""The bundles that come with the product, and copies of them that belong to the user."""

import shutil
from pathlib import Path

from pipeline.errors import nearest
from pipeline.files import fill_folder
from pipeline.product import product_root

PARTS = ("configs", "docs", "LICENSE")
"""What a bundle is; models and predictions of a clone are not copied."""


def shipped_names() -> list[str]:
    """Return the names of the bundles that come with the product.

    Example:
        >>> "membranes" in shipped_names()
        True
    """
    return sorted(path.parents[1].name for path in _bundles().glob("*/configs/train.yaml"))


def copy_shipped(name: str, to: Path) -> Path:
    """Copy a bundle, ready to train, and return the folder of the copy.

    The folder keeps the bundle's name, by which runs and packed bundles know it.

    Args:
        name: of the bundle.
        to: folder for it, made if absent.

    Raises:
        FileExistsError: there is something of this name already.
        ValueError: no such bundle.
    """
    names = shipped_names()
    if name not in names:
        raise ValueError(f"{name}: no such bundle{nearest(name, names)}")
    copy = to / name
    if copy.exists():
        raise FileExistsError(f"{copy}: exists already; remove it, or give another --to")
    fill_folder(copy, lambda folder: _copy_parts(_bundles() / name, folder))
    return copy


def _bundles() -> Path:
    return product_root() / "bundles"


def _copy_parts(bundle: Path, folder: Path) -> None:
    """Copy the content alone: an installed file may be read-only, and the copy is to be changed."""
    for source in sorted(path for part in PARTS for path in _files(bundle / part)):
        target = folder / source.relative_to(bundle)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
