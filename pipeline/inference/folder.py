"""Which images of a folder are to be inferred."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.bundle.received import contained
from pipeline.data.channels import ChannelCase, ChannelEndings, group_channels
from pipeline.data.readers import count_pages
from pipeline.data.sources import Source, list_sources
from pipeline.data.suffixes import ITK, NIFTI, SUFFIXES, TIFF, VOLUMES, stem_of, suffix_of

Entry = dict[str, Any]
"""What is inferred: ``image``, its path or those of its channels, ``name`` and ``written_as``."""


class InferredCase(NamedTuple):
    """One image, or the images of one case.

    Attributes:
        source: its image, or the first of its images, with the name of the case.
        channels: paths of its images, one for each channel; empty: it is one file.
    """

    source: Source
    channels: tuple[Path, ...] = ()

    @property
    def file_name(self) -> str:
        """Name in messages and reports."""
        return self.source.name if self.channels else self.source.file_name

    @property
    def written_path(self) -> Path:
        """Path by whose name its predictions are named."""
        path = self.source.path
        if not self.channels:
            return path
        return path.with_name(f"{self.source.name}{suffix_of(path)}")

    def image(self, page: str = "") -> str | list[str]:
        """Return what a reader opens: the path, or the paths of the channels, of a page."""
        paths = self.channels or (self.source.path,)
        images = [f"{path}{page}" for path in paths]
        return images if self.channels else images[0]


def find_cases(
    folder: str,
    spatial_dims: int = 2,
    series: str | None = None,
    channels: ChannelEndings | None = None,
) -> list[Entry]:
    """List what a network of 2 or 3 dimensions infers in a folder: images, or volumes.

    Args:
        folder: where to search; DICOM is searched at any depth.
        spatial_dims: dimensions of the network.
        series: which DICOM series, as ``Modality=MR,SeriesDescription~T1``; ``None``: all.
        channels: ending of the name of each of a case's images; a file of another name is taken to
            hold all channels, and an image that lacks is named where the case is read. ``None``: a
            case is one file.

    Returns:
        For each image ``image``, its path, or those of its channels; ``name``, unique in the
        folder; and ``written_as``, the name of what is written for it.

    Raises:
        FileNotFoundError: no such folder, or nothing to infer in it.
        ValueError: an image is corrupt, two would be written alike, or are of one channel of a
            case, or no series is selected.
    """
    find = find_volumes if spatial_dims == 3 else find_images
    return find(folder, series, channels)


def find_images(
    folder: str, series: str | None = None, channels: ChannelEndings | None = None
) -> list[Entry]:
    """List the images of a folder, sorted; a stack or a volume gives an entry for each page.

    DICOM is searched at any depth. For a network of two dimensions; :func:`find_volumes` lists for
    one of three.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
        ValueError: two would be written alike, or no series is selected.
    """
    cases = _cases(_sources(folder, SUFFIXES, series), channels)
    if not cases:
        raise FileNotFoundError(
            f"{folder}: no image in this folder; expected {' '.join(SUFFIXES)}, or DICOM below it"
        )
    names = _written_names(cases, written_name)
    return [
        {"image": case.image(page), "name": case.file_name, "written_as": name}
        for case, name in zip(cases, names, strict=True)
        for page in _pages(case.source.path)
    ]


def find_volumes(
    folder: str, series: str | None = None, channels: ChannelEndings | None = None
) -> list[Entry]:
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
    cases = _cases(volumes, channels)
    names = _written_names(cases, written_volume)
    return [
        {"image": case.image(), "name": case.file_name, "written_as": name}
        for case, name in zip(cases, names, strict=True)
    ]


def _cases(sources: list[Source], endings: ChannelEndings | None) -> list[InferredCase]:
    if not endings:
        return [InferredCase(source) for source in sources]
    grouped, others = group_channels(sources, endings)
    cases = [InferredCase(source) for source in others]
    for case in grouped:
        first = next(iter(case.images.values()))
        paths = [
            case.images[channel].path if channel in case.images else _expected(first, case, ending)
            for channel, ending in endings.items()
        ]
        cases.append(InferredCase(first._replace(name=case.name), tuple(paths)))
    return sorted(cases, key=lambda case: case.source.path)


def _expected(first: Source, case: ChannelCase, ending: str) -> Path:
    """Return the path of an image that lacks: reading it fails by its name."""
    return first.path.with_name(f"{case.name}{ending}{suffix_of(first.path)}")


def _sources(folder: str, suffixes: Collection[str], series: str | None) -> list[Source]:
    root = contained(folder, "--image_dir").resolve()
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


def _written_names(cases: list[InferredCase], written: Callable[[Path], str]) -> list[str]:
    """Return the name of what is written for each case."""
    seen: dict[str, InferredCase] = {}
    for case in cases:
        name, series = written(case.written_path), case.source.series
        if series is not None:
            suffix = ".png" if series.is_flat and written is written_name else ".nii.gz"
            name = f"{case.source.name}{suffix}"
        other = seen.setdefault(name, case)
        if other is not case:
            raise ValueError(
                f"{case.source.path}: would be written as {name} like {other.source.path.name}; "
                "rename one"
            )
    return list(seen)


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
    """Return the mark of each page of a file; of a single one it is empty."""
    try:
        count = count_pages(path)
    except (ValueError, FileNotFoundError):  # it fails again, by its name, when it is its turn
        count = 1
    return [""] if count == 1 else [f"#{page}" for page in range(count)]
