"""Images and their masks in two folders, matched by name."""

from pathlib import Path

from pipeline.data.readers import SUFFIXES, suffix_of
from pipeline.data.volumes import VOLUMES

Pair = tuple[Path, Path]
KNOWN = {*SUFFIXES, *VOLUMES}


def stem_of(path: Path) -> str:
    """Return the name without its suffix, ``.nii.gz`` as one.

    Example:
        >>> stem_of(Path("liver_3.nii.gz")), stem_of(Path("a.b.png"))
        ('liver_3', 'a.b')
    """
    return path.name[: -len(suffix_of(path))] if suffix_of(path) else path.name


def images_in(folder: Path) -> list[Path]:
    """List the images and DICOM folders directly in a folder, sorted.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; give the folder of the images")
    found = [p for p in folder.iterdir() if not p.name.startswith(".")]
    images = [p for p in found if p.is_dir() or suffix_of(p) in KNOWN]
    if not images:
        raise FileNotFoundError(
            f"{folder}: no image in this folder; expected {' '.join(sorted(KNOWN))}, or a folder "
            "for each DICOM series"
        )
    return sorted(images)


def pair_by_name(images: list[Path], masks: Path, pattern: str = "{name}") -> list[Pair]:
    """Find the mask of each image.

    Args:
        images: the files.
        masks: the folder of the masks.
        pattern: of a mask's name without suffix, ``{name}`` for the image's.

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
        if path.is_dir() or suffix_of(path) in KNOWN:
            by_stem.setdefault(stem_of(path), []).append(path)
    pairs = []
    for image in images:
        wanted = pattern.replace("{name}", stem_of(image))
        if wanted not in by_stem:
            raise FileNotFoundError(
                f"{image}: no mask {wanted}.* in {masks}; add it, remove the image, or name the "
                "masks' pattern, as in {name}_mask"
            )
        mask, *others = by_stem[wanted]
        if others:
            raise ValueError(
                f"{masks}: {mask.name} and {others[0].name} for {image.name}; remove one of them"
            )
        pairs.append((image, mask))
    return pairs
