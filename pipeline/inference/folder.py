"""Which images of a folder are to be inferred."""

from collections.abc import Callable
from pathlib import Path

from pipeline.data.readers import count_pages
from pipeline.data.suffixes import ITK, NIFTI, SUFFIXES, TIFF, VOLUMES, stem_of, suffix_of


def find_cases(folder: str, spatial_dims: int = 2) -> list[dict[str, str]]:
    """List what a network of 2 or 3 dimensions infers in a folder: images, or volumes.

    Raises:
        FileNotFoundError: no such folder, or nothing to infer in it.
        ValueError: an image is corrupt, or two differ in their suffix alone.
    """
    return find_volumes(folder) if spatial_dims == 3 else find_images(folder)


def find_images(folder: str) -> list[dict[str, str]]:
    """List the images directly in a folder, sorted; a stack gives an entry for each page.

    For a network of two dimensions; :func:`find_volumes` lists for one of three.

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
    _check_names(files, written_name)
    return [{"image": name} for path in files for name in _pages(path)]


def find_volumes(folder: str) -> list[dict[str, str]]:
    """List the volumes directly in a folder, sorted; a folder in it is a DICOM series.

    Raises:
        FileNotFoundError: no such folder, or no volume in it.
        ValueError: two volumes differ in their suffix alone.
    """
    root = Path(folder).resolve()
    if not root.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; give --image_dir a folder of volumes")
    paths = [path for path in root.iterdir() if not path.name.startswith(".")]
    files = sorted(path for path in paths if path.is_dir() or suffix_of(path) in VOLUMES)
    if not files:
        raise FileNotFoundError(
            f"{folder}: no volume in this folder; expected {' '.join(VOLUMES)}, or a folder for "
            "each DICOM series"
        )
    _check_names(files, written_volume)
    return [{"image": str(path)} for path in files]


def written_volume(path: Path) -> str:
    """Return the name of what is written for a volume: its own, as NIfTI.

    Example:
        >>> written_volume(Path("scan.nii.gz")), written_volume(Path("scan.mha"))
        ('scan.nii.gz', 'scan.nii.gz')
    """
    return f"{stem_of(path)}.nii.gz"


def written_name(path: Path) -> str:
    """Return the name of what is written for an image: its own, but PNG for JPEG and BMP.

    The slices of a volume of another format are written as NIfTI.

    Example:
        >>> written_name(Path("a.jpg")), written_name(Path("b.nii.gz")), written_name(Path("c.mha"))
        ('a.png', 'b.nii.gz', 'c.nii.gz')
    """
    if suffix_of(path) in (*TIFF, *NIFTI):
        return path.name
    return f"{stem_of(path)}.{'nii.gz' if path.is_dir() or suffix_of(path) in ITK else 'png'}"


def _check_names(files: list[Path], written: Callable[[Path], str]) -> None:
    seen: dict[str, Path] = {}
    for path in files:
        other = seen.setdefault(written(path), path)
        if other is not path:
            raise ValueError(
                f"{path}: would be written as {written(path)} like {other.name}; rename one"
            )


def _pages(path: Path) -> list[str]:
    count = count_pages(path)
    return [str(path)] if count == 1 else [f"{path}#{page}" for page in range(count)]
