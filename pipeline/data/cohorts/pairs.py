"""Images and masks of two folders, matched by name."""

import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.data.cohorts.naming import NAME, Naming, parse_pattern
from pipeline.data.series import ImageSeries, file_stem, series_table
from pipeline.data.sources import Source, Sources, list_sources, slices_of
from pipeline.data.suffixes import SUFFIXES, stem_of
from pipeline.errors import MAX_NAMES, few

Pair = tuple[Path, Path]
CHANNEL_ENDING = re.compile(r"_000\d$")
"""What nnU-Net calls the images of one case."""


def list_images(folder: Path, series: str | None = None) -> list[Path]:
    """List the images directly in a folder, and the DICOM series in it and below it, sorted.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
        ValueError: see :func:`pipeline.data.sources.list_sources`.
    """
    return [source.path for source in image_sources(folder, series).images]


def image_sources(
    folder: Path,
    series: str | None = None,
    salt: str | None = None,
    exclude: Sequence[Path] = (),
    with_labels: bool = False,
) -> Sources:
    """List the images of a folder as :func:`list_images`, with their names and remarks.

    The arguments are those of :func:`pipeline.data.sources.list_sources`.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
        ValueError: see :func:`pipeline.data.sources.list_sources`.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; give the folder of the images")
    sources = list_sources(folder, SUFFIXES, series, salt, exclude, with_labels)
    if not sources.images:
        skipped = f" ({sources.remarks[0]})" if sources.remarks else ""
        raise FileNotFoundError(
            f"{folder}: no image in this folder{skipped}; expected {' '.join(SUFFIXES)}, or "
            "DICOM series in it or below it"
        )
    return sources


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
    sources = [Source(path, stem_of(path)) for path in images]
    return [(source.path, mask) for source, mask in pair_sources(sources, masks, pattern)]


def pair_sources(
    sources: Sequence[Source], masks: Path, pattern: str | Naming = NAME
) -> list[tuple[Source, Path]]:
    """Find the mask of each image or DICOM series.

    The mask of a series has the name of the series in outputs or, where that is the name of one
    series alone, of its folder. A series without one, each of whose slices has a mask of the name
    of its file, gives flat images.

    Raises:
        FileNotFoundError: no such folder, or images without a mask.
        ValueError: a pattern without ``{name}``, an image with two masks, an image that would be
            its own mask, or a mask that may belong to several series.
    """
    naming = parse_pattern(pattern) if isinstance(pattern, str) else pattern
    by_name = masks_by_name(masks)
    wanted = {name: naming.mask_of(name) for name in _all_names(sources)}
    present = {name for name, mask in wanted.items() if mask in by_name}
    pairs, missing = [], []
    for source in sources:
        for one, name in _named(source, sources, present):
            files = by_name.get(wanted[name] or "", [])
            if files:
                pairs.append((one, _only_mask(one, files, masks)))
            else:
                missing.append((one, wanted[name] or naming.mask))
    if missing:
        raise _no_mask(missing, masks, sources)
    return pairs


def masks_by_name(masks: Path) -> dict[str, list[Path]]:
    """Return the files of a folder of masks by their names without suffix.

    Raises:
        FileNotFoundError: no such folder.
    """
    if not masks.is_dir():
        raise FileNotFoundError(f"{masks}: no such folder; give the folder of the masks")
    by_name: dict[str, list[Path]] = {}
    for mask in list_sources(masks, SUFFIXES).images:
        by_name.setdefault(mask.name, []).append(mask.path)
    return by_name


def possible_names(source: Source) -> set[str]:
    """Return every name that an image's mask may be named after."""
    return _all_names([source])


def _only_mask(source: Source, files: Sequence[Path], masks: Path) -> Path:
    first, *others = files
    if others:
        raise ValueError(
            f"{masks}: {first.name} and {others[0].name} for {source.file_name}; remove one of them"
        )
    if first.resolve() == source.path.resolve():
        raise ValueError(
            f"{source.path}: would be its own mask; give the folder of the masks by --masks, or "
            "their names by --pattern, as {name}_mask"
        )
    return first


def _named(
    source: Source, sources: Sequence[Source], present: set[str]
) -> list[tuple[Source, str]]:
    """Return the images of a source, each with the name that its mask has."""
    if source.name in present or source.series is None:
        return [(source, source.name)]
    for folder in [name for name in _folder_names(source.series) if name in present]:
        same = [one for one in sources if one.series and folder in _folder_names(one.series)]
        if len(same) > 1:
            raise ValueError(
                f"mask of '{folder}': may belong to {len(same)} series; choose with --series, as "
                "SeriesDescription~T1, or name it after the series:\n"
                f"{series_table(one.series for one in same if one.series)}"
            )
        return [(source, folder)]
    slices = slices_of(source)
    stems = [file_stem(one.path) for one in slices]
    if all(stem in present for stem in stems):
        return list(zip(slices, stems, strict=True))
    return [(source, source.name)]


def _all_names(sources: Sequence[Source]) -> set[str]:
    names = {source.name for source in sources}
    for source in sources:
        if source.series is not None:
            names.update(_folder_names(source.series))
            names.update(file_stem(path) for path in source.series.files)
    return names


def _folder_names(series: ImageSeries) -> list[str]:
    """Return the names of a series' folder and of those above it that are below the root."""
    parts = series.folders
    joined = ["_".join(parts[:end]) for end in range(len(parts), 0, -1)]
    return list(dict.fromkeys([*reversed(parts), *joined]))


def _no_mask(
    missing: Sequence[tuple[Source, str]], masks: Path, sources: Sequence[Source]
) -> FileNotFoundError:
    series = [one.series for one in sources if one.series]
    (source, wanted), *others = missing
    line = f"{source.path}: no mask {wanted}.* in {masks}"
    if others:
        names = few([one.file_name for one, _ in others], MAX_NAMES - 1)
        line = f"{line}, nor masks of {names}: {len(missing)} of {len(sources)} images"
    line += "; add it, remove the image, or give the pattern of the masks' names, as {name}_mask"
    if any(CHANNEL_ENDING.search(one.name) for one, _ in missing):
        line += "; several images of one case are given by --channels, as T1=_0000 T2=_0001"
    if source.series is None or len(series) < 2:
        return FileNotFoundError(line)
    return FileNotFoundError(
        f"{line}; or choose of the {len(series)} series with --series:\n{series_table(series)}"
    )
