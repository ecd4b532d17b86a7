"""Images and masks of two folders, matched by name."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.data.series import ImageSeries, file_stem, series_table
from pipeline.data.sources import Source, Sources, list_sources, slices_of
from pipeline.data.suffixes import SUFFIXES, stem_of

Pair = tuple[Path, Path]


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
) -> Sources:
    """List the images of a folder as :func:`list_images`, with their names and remarks.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
        ValueError: see :func:`pipeline.data.sources.list_sources`.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; give the folder of the images")
    sources = list_sources(folder, SUFFIXES, series, salt, exclude)
    if not sources.images:
        raise FileNotFoundError(
            f"{folder}: no image in this folder; expected {' '.join(SUFFIXES)}, or "
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
    sources: Sequence[Source], masks: Path, pattern: str = "{name}"
) -> list[tuple[Source, Path]]:
    """Find the mask of each image or DICOM series.

    The mask of a series has the name of the series in outputs or, where that is the name of one
    series alone, of its folder. A series without one, each of whose slices has a mask of the name
    of its file, gives flat images.

    Raises:
        FileNotFoundError: no such folder, or an image without a mask.
        ValueError: a pattern without ``{name}``, an image with two masks, or a mask that may
            belong to several series.
    """
    if "{name}" not in pattern:
        raise ValueError(f"mask pattern '{pattern}': expected {{name}} in it, as in {{name}}_mask")
    if not masks.is_dir():
        raise FileNotFoundError(f"{masks}: no such folder; give the folder of the masks")
    by_name: dict[str, list[Path]] = {}
    for mask in list_sources(masks, SUFFIXES).images:
        by_name.setdefault(mask.name, []).append(mask.path)
    wanted = {name: pattern.replace("{name}", name) for name in _all_names(sources)}
    present = {name for name, mask in wanted.items() if mask in by_name}
    pairs = []
    for source in sources:
        for one, name in _named(source, sources, present):
            if wanted[name] not in by_name:
                raise _no_mask(one, wanted[name], masks, sources)
            first, *others = by_name[wanted[name]]
            if others:
                raise ValueError(
                    f"{masks}: {first.name} and {others[0].name} for {one.file_name}; remove one "
                    "of them"
                )
            pairs.append((one, first))
    return pairs


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
    source: Source, wanted: str, masks: Path, sources: Sequence[Source]
) -> FileNotFoundError:
    series = [one.series for one in sources if one.series]
    line = (
        f"{source.path}: no mask {wanted}.* in {masks}; add it, remove the image, or give the "
        "pattern of the masks' names, as {name}_mask"
    )
    if source.series is None or len(series) < 2:
        return FileNotFoundError(line)
    return FileNotFoundError(
        f"{line}; or choose of the {len(series)} series with --series:\n{series_table(series)}"
    )
