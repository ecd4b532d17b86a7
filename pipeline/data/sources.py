"""The images of a folder, of all formats: files directly in it, DICOM series at any depth."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.data.selection import select_series
from pipeline.data.series import ImageSeries, file_stem, find_series, skip_remark
from pipeline.data.suffixes import stem_of, suffix_of


class Source(NamedTuple):
    """An image before it is read.

    Attributes:
        path: its file, or the reference of its DICOM series.
        name: name for outputs; unique among DICOM series.
        series: its DICOM series; ``None`` for other formats.
    """

    path: Path
    name: str
    series: ImageSeries | None = None

    @property
    def file_name(self) -> str:
        """Name of its file or folder, for messages."""
        return self.path.name if self.series is None else self.series.name


class Sources(NamedTuple):
    """Images of a folder.

    Attributes:
        images: images, sorted by their paths.
        remarks: lines for the user: what was skipped, and why.
        labels: DICOM files of segmentations and contours, in the folder and below it.
    """

    images: list[Source]
    remarks: list[str]
    labels: list[Path]


def list_sources(
    folder: Path,
    suffixes: Collection[str],
    series: str | None = None,
    salt: str | None = None,
    exclude: Sequence[Path] = (),
    with_labels: bool = False,
) -> Sources:
    """List the images directly in a folder, and the DICOM series in it and below it.

    Args:
        folder: where to search.
        suffixes: suffixes of the images that are not DICOM.
        series: which DICOM series to list, see :func:`pipeline.data.selection.parse_selection`.
        salt: of the patients' pseudonyms, see :func:`pipeline.data.series.find_series`.
        exclude: folders to leave out.
        with_labels: whether DICOM files of labels are used; else a remark says that they are not.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: the selection is wrong or meets no series, or a DICOM file is corrupt.
    """
    listing = find_series(folder, salt, exclude)
    files = [path for path in listing.others if path.parent == Path(folder)]
    images = [Source(path, stem_of(path)) for path in files if suffix_of(path) in suffixes]
    chosen = select_series(listing.series, series)
    images += [Source(one.path, one.name, one) for one in chosen]
    skipped = [path.name for path in files if suffix_of(path) not in suffixes]
    remarks = [*listing.remarks, *([] if with_labels else listing.label_remarks)]
    if skipped:
        remarks.append(skip_remark(Path(folder), skipped, "not an image"))
    return Sources(sorted(images, key=lambda source: source.path), remarks, listing.labels)


def slices_of(source: Source) -> list[Source]:
    """Return the files of a DICOM series as flat images; any other image as it is.

    Example:
        >>> slices_of(Source(Path("a.png"), "a"))[0].name
        'a'
    """
    if source.series is None or len(source.series.files) == 1:
        return [source]
    root = source.series.folder
    return [
        Source(
            header.path,
            "_".join(
                [
                    *source.series.folders,
                    *header.path.parent.relative_to(root).parts,
                    file_stem(header.path),
                ]
            ),
            source.series._replace(path=header.path, headers=(header,)),
        )
        for header in source.series.headers
    ]
