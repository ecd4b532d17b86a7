"""Which images of a folder are to be inferred."""

from pathlib import Path

from pipeline.data.readers import NIFTI, SUFFIXES, TIFF, count_pages, suffix_of


def find_images(folder: str) -> list[dict[str, str]]:
    """List the images directly in a folder, sorted; a stack gives an entry for each page.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
        ValueError: an image is corrupt, or two images differ in their suffix alone.
    """
    root = Path(folder).resolve()
    if not root.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; give --image_dir a folder of images")
    files = sorted(p for p in root.iterdir() if p.is_file() and suffix_of(p) in SUFFIXES)
    if not files:
        raise FileNotFoundError(f"{folder}: no image in this folder; expected {' '.join(SUFFIXES)}")
    seen: dict[str, Path] = {}
    for path in files:
        other = seen.setdefault(written_name(path), path)
        if other is not path:
            raise ValueError(
                f"{path}: would be written as {written_name(path)} like {other.name}; rename one"
            )
    return [{"image": name} for path in files for name in _pages(path)]


def written_name(path: Path) -> str:
    """Return the name of what is written for an image: its own, but PNG for JPEG and BMP.

    Example:
        >>> written_name(Path("a.jpg")), written_name(Path("b.nii.gz"))
        ('a.png', 'b.nii.gz')
    """
    return path.name if suffix_of(path) in (*TIFF, *NIFTI) else f"{path.stem}.png"


def _pages(path: Path) -> list[str]:
    count = count_pages(path)
    return [str(path)] if count == 1 else [f"{path}#{page}" for page in range(count)]
