"""Which DICOM series a file of labels belongs to: by what it refers to, not by names of files.

A file belongs to the image that has one of the instances it refers to; without any, to that of the
series it refers to; without any, to that in the same frame of reference.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from pipeline.data.dicom_labels.mask import DicomMask
from pipeline.data.dicom_labels.objects import LabelObject, read_object
from pipeline.data.dicom_labels.rule import LabelRule
from pipeline.data.label_numbers import LabelNumbers, numbers_of
from pipeline.data.series import series_table
from pipeline.data.sources import Source, list_sources
from pipeline.data.suffixes import SUFFIXES
from pipeline.errors import few

Images = tuple[Source, ...]
"""The images of one case: one, or one for each channel."""
Fit = tuple[int, LabelObject, Source]
"""The place of a case in the list of all, a file of its labels, and the image that it fits."""


def label_files(images: Path, masks: Path, pattern: str | None) -> list[Path]:
    """Return the DICOM files of labels that are the masks; empty: the masks are other files.

    Args:
        images: folder of the images.
        masks: folder of the masks.
        pattern: naming of masks that are paired by name; in one folder it decides for these.

    Raises:
        ValueError: a folder of masks holds both kinds, or files that need no pattern.
    """
    sources = list_sources(masks, SUFFIXES) if masks.is_dir() else None
    if sources is None or not sources.labels:
        return []
    first, others = sources.labels[0], sources.images
    if images.resolve() == masks.resolve():
        return [] if pattern else sources.labels
    if others and not pattern:
        raise ValueError(
            f"{masks}: holds DICOM labels, as {first.name}, and other masks, as "
            f"{others[0].file_name}; expected one kind; put them into two folders"
        )
    if pattern and not others:
        raise ValueError(
            f"--pattern {pattern}: found with DICOM labels, as {first}, which name their series "
            "themselves; leave it out"
        )
    return [] if pattern else sources.labels


def pair_labels(
    cases: Sequence[Images], files: Sequence[Path], masks: Path, rule: LabelRule
) -> tuple[dict[int, DicomMask], LabelNumbers, list[str]]:
    """Find the labels of each case.

    A case without labels is left out if another series of its study has some.

    Args:
        cases: images of each case.
        files: DICOM files of labels.
        masks: folder of these, for messages.
        rule: number of each structure; without names, each that occurs gets a number.

    Returns:
        The mask of each case by its place, the numbers of all labels, and remarks.

    Raises:
        FileNotFoundError: a study without labels.
        ValueError: a file fits two cases, or two files one; a label that no file has; an image that
            is not DICOM.
    """
    _check_dicom(cases, files[0])
    objects = [read_object(path) for path in files]
    fits = {one.path: _fits(one, cases) for one in objects}
    paired = _one_each(cases, [fit for of_file in fits.values() for fit in of_file])
    unused = [one for one in objects if not fits[one.path]]
    missing = _left_out(cases, paired, unused, masks)
    rule = named_rule(list(paired.values()), masks, rule)
    pairs = {place: DicomMask(one, source.path, rule) for place, one, source in paired.values()}
    remarks = [
        _pairs_remark(paired, cases, masks, rule),
        *_structures_remarks([one for _, one, _ in paired.values()], masks, rule),
        *_remark(masks, "DICOM labels of no image", [one.path.name for one in unused]),
        *_remark(masks, "series without labels left out, of studies with some", missing),
    ]
    return pairs, rule.numbers, remarks


def _check_dicom(cases: Sequence[Images], file: Path) -> None:
    for image in (image for images in cases for image in images):
        if image.series is None:
            raise ValueError(
                f"{image.path}: not DICOM, and {file} labels a DICOM series; give that series, or "
                "a mask in the format of the image"
            )


def _fits(labels: LabelObject, cases: Sequence[Images]) -> list[Fit]:
    """Return the cases that a file of labels fits best, once each."""
    for level in range(3):
        fitting = {
            place: (place, labels, image)
            for place, images in enumerate(cases)
            for image in reversed(images)
            if _uids(image)[level] & _referred(labels)[level]
        }
        if fitting:
            return list(fitting.values())
    return []


def _uids(image: Source) -> tuple[frozenset[str], ...]:
    headers = image.series.headers if image.series else ()
    return (
        frozenset(header.instance for header in headers if header.instance),
        frozenset(header.series for header in headers if header.series),
        frozenset(header.frame_of_reference for header in headers if header.frame_of_reference),
    )


def _referred(labels: LabelObject) -> tuple[frozenset[str], ...]:
    return labels.instances, labels.series, labels.frames_of_reference


def _one_each(cases: Sequence[Images], fits: Sequence[Fit]) -> dict[int, Fit]:
    """Return the labels of each case by its place, in the order of the cases."""
    by_file: dict[Path, Fit] = {}
    by_case: dict[int, Fit] = {}
    for fit in fits:
        place, labels, image = fit
        other = by_file.setdefault(labels.path, fit)
        if other is not fit:
            names = [cases[one][0].file_name for one in (other[0], place)]
            raise ValueError(
                f"{labels.path}: fits two series, {names[0]} and {names[1]}; expected one; choose "
                "with --series, as SeriesDescription~T1"
            )
        other = by_case.setdefault(place, fit)
        if other is not fit:
            raise ValueError(
                f"{labels.path}: labels of {image.file_name}, as {other[1].path}; expected one "
                "file for a series; remove one of them, or join them"
            )
    return dict(sorted(by_case.items()))


def _left_out(
    cases: Sequence[Images],
    paired: dict[int, Fit],
    unused: Sequence[LabelObject],
    masks: Path,
) -> list[str]:
    """Return the names of series without labels in studies with some.

    Raises:
        FileNotFoundError: a study has none.
    """
    studies = {_study(cases[place]) for place in paired}
    missing = [images[0] for place, images in enumerate(cases) if place not in paired]
    alone = [image for image in missing if _study((image,)) not in studies]
    if alone:
        line = f"{alone[0].path}: no DICOM labels in {masks} refer to it"
        if unused:
            line += f"; {unused[0].path.name} refers to another series, which is not there"
        raise FileNotFoundError(
            f"{line}; add its labels, remove it, or choose of the {len(cases)} series with "
            f"--series:\n{series_table(images[0].series for images in cases if images[0].series)}"
        )
    return [image.file_name for image in missing]


def _study(images: Images) -> tuple[str, str]:
    header = images[0].series.headers[0] if images[0].series else None
    return (header.patient, header.study) if header else ("", "")


def named_rule(fits: Sequence[Fit], masks: Path, rule: LabelRule) -> LabelRule:
    """Return the number of each structure that the files have.

    Without given names, the structures are numbered in the order of their names.

    Raises:
        ValueError: a given label that no file has; no file has a structure.
    """
    spelling: dict[str, str] = {}
    for name in sorted({name for _, labels, _ in fits for name in labels.names.values()}):
        spelling.setdefault(name.casefold(), name)
    if not spelling:
        raise ValueError(f"{masks}: no structure with an area in the DICOM labels; draw one")
    if not rule.numbers:
        return rule._replace(
            numbers={name: number for number, name in enumerate(spelling.values(), 1)}
        )
    for key, name in rule.names().items():
        if key not in spelling:
            raise _no_structure(name, spelling, masks)
    return rule


def _no_structure(name: str, spelling: dict[str, str], masks: Path) -> ValueError:
    near = get_close_matches(name.casefold(), spelling, 1)
    there = [spelling[one] for one in near] + [
        one for key, one in spelling.items() if key not in near
    ]
    return ValueError(
        f"--labels {name}: no DICOM file in {masks} has this structure; expected one of "
        f"{few(there)}; correct it, or leave it out"
    )


def _pairs_remark(
    paired: dict[int, Fit], cases: Sequence[Images], masks: Path, rule: LabelRule
) -> str:
    place, first, _ = next(iter(paired.values()))
    numbers = [
        f"{name}={','.join(map(str, numbers_of(label)))}" for name, label in rule.numbers.items()
    ]
    return (
        f"{masks}: DICOM labels of {len(paired)} series by their references, as {first.path.name} "
        f"of {cases[place][0].file_name}: {' '.join(numbers)}"
    )


def _structures_remarks(objects: Sequence[LabelObject], masks: Path, rule: LabelRule) -> list[str]:
    wanted = rule.names()
    left_out = sorted(
        {name for one in objects for name in one.names.values() if name.casefold() not in wanted}
    )
    without_area = sorted({name for one in objects for name in one.without_area})
    return [
        *_remark(masks, "structures that --labels does not name, left out", left_out),
        *_remark(masks, "structures of points or open lines, left out", without_area),
    ]


def _remark(masks: Path, what: str, names: Sequence[str]) -> list[str]:
    return [f"{masks}: {len(names)} {what}: {few(names)}"] if names else []
