"""Which images of a folder are to be inferred."""

from collections.abc import Callable, Collection
from pathlib import Path

from pipeline.data.readers import count_pages
from pipeline.data.sources import Source, list_sources
from pipeline.data.suffixes import ITK, NIFTI, SUFFIXES, TIFF, VOLUMES, stem_of, suffix_of


def find_cases(
    folder: str, spatial_dims: int = 2, series: str | None = None
) -> list[dict[str, str]]:
    """List what a network of 2 or 3 dimensions infers in a folder: images, or volumes.

    Args:
        folder: where to search; DICOM is searched at any depth.
        spatial_dims: dimensions of the network.
        series: which DICOM series, as ``Modality=MR,SeriesDescription~T1``; ``None``: all.

    Returns:
        For each image ``image``, its path; ``name``, unique in the folder; and ``written_as``, the
        name of what is written for it.

    Raises:
        FileNotFoundError: no such folder, or nothing to infer in it.
        ValueError: an image is corrupt, two would be written alike, or no series is selected.
    """
    find = find_volumes if spatial_dims == 3 else find_images
    return find(folder, series)


def find_images(folder: str, series: str | None = None) -> list[dict[str, str]]:
    """List the images of a folder, sorted; a stack or a volume gives an entry for each page.

    DICOM is searched at any depth. For a network of two dimensions; :func:`find_volumes` lists for
    one of three.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
        ValueError: two would be written alike, or no series is selected.
    """
    sources = _sources(folder, SUFFIXES, series)
    if not sources:
        raise FileNotFoundError(
            f"{folder}: no image in this folder; expected {' '.join(SUFFIXES)}, or DICOM below it"
        )
    names = _written_names(sources, written_name)
    return [
        {"image": page, "name": source.file_name, "written_as": names[source.path]}
        for source in sources
        for page in _pages(source.path)
    ]


def find_volumes(folder: str, series: str | None = None) -> list[dict[str, str]]:
    """List the volumes of a folder, sorted; DICOM series at any depth.

    A flat DICOM image is left out, with a remark.

    Raises:
        FileNotFoundError: no such folder, or no volume in it.
        ValueError: two volumes would be written alike, or no series is selected.
    """
    sources = _sources(folder, VOLUMES, series)
    volumes = [one for one in sources if one.series is None or not one.series.is_flat]
    _print_left_out(sources, volumes, "a flat image; a network of three dimensions takes volumes")
    if not volumes:
        raise FileNotFoundError(
            f"{folder}: no volume in this folder; expected {' '.join(VOLUMES)}, or DICOM series "
            "of several slices in it or below it"
        )
    names = _written_names(volumes, written_volume)
    return [
        {"image": str(one.path), "name": one.file_name, "written_as": names[one.path]}
        for one in volumes
    ]


def _sources(folder: str, suffixes: Collection[str], series: str | None) -> list[Source]:
    root = Path(folder).resolve()
    if not root.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; give --image_dir a folder of images")
    sources = list_sources(root, suffixes, series)
    for remark in sources.remarks:
        print(remark)
    return sources.images


def _print_left_out(all_sources: list[Source], kept: list[Source], reason: str) -> None:
    paths = {source.path for source in kept}
    for source in all_sources:
        if source.path not in paths:
            print(f"{source.path}: left out, {reason}")


def _written_names(sources: list[Source], written: Callable[[Path], str]) -> dict[Path, str]:
    """Return the name of what is written for each image, by its path."""
    names: dict[Path, str] = {}
    seen: dict[str, Source] = {}
    for source in sources:
        name = written(source.path)
        if source.series is not None:
            suffix = ".png" if source.series.is_flat and written is written_name else ".nii.gz"
            name = f"{source.name}{suffix}"
        other = seen.setdefault(name, source)
        if other is not source:
            raise ValueError(
                f"{source.path}: would be written as {name} like {other.path.name}; rename one"
            )
        names[source.path] = name
    return names


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
    return f"{stem_of(path)}.{'nii.gz' if suffix_of(path) in ITK else 'png'}"


def _pages(path: Path) -> list[str]:
    try:
        count = count_pages(path)
    except (ValueError, FileNotFoundError):  # it fails again, by its name, when it is its turn
        count = 1
    return [str(path)] if count == 1 else [f"{path}#{page}" for page in range(count)]
