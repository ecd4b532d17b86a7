"""Images and their masks in two folders, matched by name."""

from pathlib import Path

from pipeline.data.suffixes import SUFFIXES, stem_of, suffix_of

Pair = tuple[Path, Path]


def list_images(folder: Path) -> list[Path]:
    """List the images and DICOM folders directly in a folder, sorted.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; give the folder of the images")
    visible = [p for p in folder.iterdir() if not p.name.startswith(".")]
    images = [p for p in visible if p.is_dir() or suffix_of(p) in SUFFIXES]
    if not images:
        raise FileNotFoundError(
            f"{folder}: no image in this folder; expected {' '.join(SUFFIXES)}, or "
            "a folder for each DICOM series"
        )
    return sorted(images)


def pair_by_name(images: list[Path], masks: Path, pattern: str = "{name}") -> list[Pair]:
    """Find the mask of each image.

    Args:
        images: files of the images.
        masks: folder of the masks.
        pattern: name of a mask without suffix, with ``{name}`` for the name of its image.

    Raises:
        FileNotFoundError: no such folder, or an image without a mask.
        ValueError: a pattern without ``{name}``, or an image with two masks.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "a_mask.png").touch()
        >>> pair_by_name([Path("a.jpg")], folder, "{name}_mask")[0][1].name
        'a_mask.png'
    """
    if "{name}" not in pattern:
        raise ValueError(f"mask pattern '{pattern}': expected {{name}} in it, as in {{name}}_mask")
    if not masks.is_dir():
        raise FileNotFoundError(f"{masks}: no such folder; give the folder of the masks")
    by_stem: dict[str, list[Path]] = {}
    for path in sorted(masks.iterdir()):
        if path.is_dir() or suffix_of(path) in SUFFIXES:
            by_stem.setdefault(stem_of(path), []).append(path)
    pairs = []
    for image in images:
        wanted = pattern.replace("{name}", stem_of(image))
        if wanted not in by_stem:
            raise FileNotFoundError(
                f"{image}: no mask {wanted}.* in {masks}; add it, remove the image, or give "
                "the pattern of the masks' names, as {name}_mask"
            )
        mask, *others = by_stem[wanted]
        if others:
            raise ValueError(
                f"{masks}: {mask.name} and {others[0].name} for {image.name}; remove one of them"
            )
        pairs.append((image, mask))
    return pairs
