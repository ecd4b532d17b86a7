"""The cases of a folder: the image or images of each, and its mask."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.data.channels import check_channels, group_channels
from pipeline.data.cohorts.dicom_masks import pair_labels
from pipeline.data.cohorts.naming import NAME, Naming, guess_naming, parse_pattern
from pipeline.data.cohorts.pairs import masks_by_name, pair_sources, possible_names
from pipeline.data.dicom_labels.mask import DicomMask
from pipeline.data.dicom_labels.rule import LabelRule
from pipeline.data.label_numbers import LabelNumbers
from pipeline.data.sources import Source, list_sources
from pipeline.data.suffixes import SUFFIXES
from pipeline.errors import few

MASK_FOLDERS = ("masks", "labels")
"""Names of a folder inside that of the images which holds the masks."""


class FolderCase(NamedTuple):
    """One case of a folder.

    Attributes:
        name: of the case.
        images: its image, or one for each channel.
        mask: file of the mask.
        dicom: how the mask is read of a DICOM file of labels; ``None``: it is an image.
    """

    name: str
    images: tuple[Source, ...]
    mask: Path
    dicom: DicomMask | None = None

    @property
    def source(self) -> Source:
        """Its first image, with the name of the case."""
        return self.images[0]._replace(name=self.name)

    @property
    def files(self) -> tuple[Path, ...]:
        """Files of its images."""
        return tuple(image.path for image in self.images)


def mask_folder(images: Path) -> Path:
    """Return the folder of the masks of a folder: ``masks`` or ``labels`` in it, or itself.

    Raises:
        ValueError: there are both.
    """
    inside = sorted(images.iterdir()) if images.is_dir() else []
    first, *others = [
        path for path in inside if path.is_dir() and path.name.lower() in MASK_FOLDERS
    ] or [images]
    if others:
        raise ValueError(
            f"{images}: holds {first.name} and {others[0].name}; give one of them by --masks"
        )
    return first


def list_cases(
    sources: Sequence[Source],
    images: Path,
    masks: Path,
    pattern: str | None,
    channels: Mapping[str, str],
) -> tuple[list[FolderCase], list[str]]:
    """Pair the images of a folder with their masks.

    Args:
        sources: images of the folder; of one folder for all, also the masks.
        images: folder of the images.
        masks: folder of the masks.
        pattern: naming of the masks, see :func:`pipeline.data.cohorts.naming.parse_pattern`; None:
            guessed.
        channels: ending of the name of each channel's image; empty: one image a case.

    Returns:
        The cases, and remarks: the guessed naming, masks without an image.

    Raises:
        FileNotFoundError: an image without a mask.
        ValueError: no usual naming fits, an image would be its own mask, or a case lacks a channel.
    """
    one_folder = images.resolve() == masks.resolve()
    by_channel = _images_by_channel(sources, images, channels, one_folder) if channels else {}
    candidates = [Source(of_case[0].path, name) for name, of_case in by_channel.items()] or sources
    names = set(masks_by_name(masks))
    if not names:
        _check_masks(masks)
    naming = (
        _guess([possible_names(one) for one in candidates], names, images, one_folder)
        if pattern is None
        else parse_pattern(pattern)
    )
    if one_folder and not channels:
        candidates = _without_masks(candidates, naming, images)
    cases = [
        FolderCase(source.name, by_channel.get(source.name, (source,)), mask)
        for source, mask in pair_sources(candidates, masks, naming)
    ]
    remarks = _guess_remark(cases, naming, images) if pattern is None else []
    used = {case.mask for case in cases}
    unused = [
        path.name
        for name, paths in sorted(masks_by_name(masks).items())
        for path in paths
        if path not in used and (not one_folder or naming.is_mask(name))
    ]
    return cases, remarks + _unused_remark(unused, masks)


def list_labelled(
    sources: Sequence[Source],
    images: Path,
    masks: Path,
    files: Sequence[Path],
    channels: Mapping[str, str],
    rule: LabelRule,
) -> tuple[list[FolderCase], LabelNumbers, list[str]]:
    """Pair DICOM series with the files that hold their labels.

    Args:
        sources: images of the folder.
        images: folder of the images.
        masks: folder of the labels.
        files: DICOM files of labels.
        channels: ending of the name of each channel's image; empty: one image a case.
        rule: number of each structure.

    Returns:
        The cases, the numbers of all labels, and remarks.

    Raises:
        FileNotFoundError: a study without labels.
        ValueError: see :func:`pipeline.data.cohorts.dicom_masks.pair_labels`; or a case lacks a
            channel.
    """
    one_folder = images.resolve() == masks.resolve()
    by_name = (
        _images_by_channel(sources, images, channels, one_folder)
        if channels
        else {source.name: (source,) for source in sources}
    )
    names, of_cases = list(by_name), list(by_name.values())
    pairs, labels, remarks = pair_labels(of_cases, files, masks, rule)
    cases = [
        FolderCase(names[place], of_cases[place], mask.labels.path, mask)
        for place, mask in pairs.items()
    ]
    return cases, labels, remarks


def _check_masks(masks: Path) -> None:
    """Refuse a folder that holds files, and no mask."""
    remarks = list_sources(masks, SUFFIXES).remarks
    if remarks:
        raise FileNotFoundError(
            f"{masks}: no mask in this folder ({remarks[0]}); expected {' '.join(SUFFIXES)}, or "
            "DICOM segmentations or contours; give the folder of the masks"
        )


def _images_by_channel(
    sources: Sequence[Source], images: Path, channels: Mapping[str, str], one_folder: bool
) -> dict[str, tuple[Source, ...]]:
    cases, others = group_channels(sources, channels)
    check_channels(cases, channels, str(images))
    if others and not one_folder:
        endings = ", ".join(channels.values())
        raise ValueError(
            f"{images}: {len(others)} images of no channel, as {others[0].file_name}; expected "
            f"names that end on {endings}; remove them, or name them so"
        )
    return {case.name: tuple(case.images.values()) for case in cases}


def _guess(images: Sequence[set[str]], masks: set[str], folder: Path, one_folder: bool) -> Naming:
    try:
        return guess_naming(images, masks, one_folder)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None


def _without_masks(sources: Sequence[Source], naming: Naming, folder: Path) -> list[Source]:
    """Return the images of a folder that holds the masks, too."""
    if naming == Naming():
        raise ValueError(
            f"{folder}: by --pattern '{NAME}' each image would be its own mask; give the masks' "
            f"names, as {NAME}_mask, or their folder by --masks"
        )
    if naming.mask == NAME:
        return [source for source in sources if naming.mask_of(source.name) is not None]
    return [source for source in sources if not naming.is_mask(source.name)]


def _guess_remark(cases: Sequence[FolderCase], naming: Naming, images: Path) -> list[str]:
    first = cases[0]
    return [
        f"{images}: {len(cases)} cases with a mask each by --pattern '{naming.pattern}', as "
        f"{first.source.file_name} and {first.mask.name}"
    ]


def _unused_remark(names: Sequence[str], masks: Path) -> list[str]:
    if not names:
        return []
    return [f"{masks}: {len(names)} masks of no image: {few(names)}"]
