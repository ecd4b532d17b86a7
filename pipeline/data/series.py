"""The DICOM series below a folder.

A *reference* names a series in one string, which a reader opens again:

=====================  =========================================================
``FOLDER``             the folder holds one series and no other
``FOLDER#UID``         one of several series in the folder, or a series in several folders below it
``FOLDER#UID-2``       the second of several shapes or orientations with one UID
``FILE``               a flat image, or a file of several frames
=====================  =========================================================
"""

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.data.dicom_header import (
    Header,
    LabelsError,
    NotAnImageError,
    is_dicom,
    read_header,
)
from pipeline.data.suffixes import DICOM
from pipeline.plain_text import plain_line

MARK = "#"
SYSTEM_FOLDERS = {"__MACOSX", "@eaDir"}
"""Folders that systems leave behind; those whose name begins with a dot are skipped, too."""
ORIENTATION_TOLERANCE = 1e-2
"""Largest difference of the directions of two slices of one series."""
POSITION_DIGITS = 2
"""Decimal places of a millimetre within which two positions are the same."""
PSEUDONYM_DIGITS = 10
PROCESS_SALT = secrets.token_hex(16)
"""Salt of the pseudonyms of listings that are printed and not kept."""
MAX_SKIPPED_NAMES = 3

Stamp = tuple[tuple[str, int, int], ...]


class ImageSeries(NamedTuple):
    """A series of DICOM images, or one flat image.

    Attributes:
        path: its reference, see the module.
        name: name for outputs, unique below the folder; made of the folders' names.
        headers: headers of its files, in the order of their names.
        patient: pseudonym of the patient.
        study: number of the study among the patient's, from 1.
        folders: names of the folders below the searched one that hold it, the outermost first.
    """

    path: Path
    name: str
    headers: tuple[Header, ...]
    patient: str
    study: int
    folders: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """Files of the series."""
        return tuple(header.path for header in self.headers)

    @property
    def folder(self) -> Path:
        """Folder that holds all files."""
        return _folder_of(self.headers)

    @property
    def slices(self) -> int:
        """Number of slices or frames."""
        return sum(header.frames for header in self.headers)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of columns, rows and slices."""
        return (*self.headers[0].size, self.slices)

    @property
    def is_flat(self) -> bool:
        """Whether it is one flat image."""
        return self.slices == 1

    @property
    def modality(self) -> str:
        """``CT``, ``MR``, ``DX``, …; empty if the files do not say."""
        return self.headers[0].modality

    @property
    def description(self) -> str:
        """Series description."""
        return self.headers[0].description


class Listing(NamedTuple):
    """What is below a folder.

    Attributes:
        series: series, in the order of their files' names.
        others: files that are not DICOM.
        remarks: lines for the user: what was skipped, and why.
        labels: files of segmentations and contours.
        label_remarks: lines for the user where these are skipped, too.
    """

    series: list[ImageSeries]
    others: list[Path]
    remarks: list[str]
    labels: list[Path]
    label_remarks: list[str]


class _Folder(NamedTuple):
    headers: tuple[Header, ...]
    others: tuple[Path, ...]
    not_images: tuple[str, ...]
    labels: tuple[Path, ...]
    label_remarks: tuple[str, ...]


def find_series(folder: Path, salt: str | None = None, exclude: Sequence[Path] = ()) -> Listing:
    """Find the DICOM series in a folder and in all folders below it.

    Files are grouped by patient, study, SeriesInstanceUID, size and orientation, so that a
    localizer is a series of its own. A projection, a file of several frames, and a file without a
    position are each a series of one file. Files of one series in several folders are joined,
    unless two have the same position.

    Args:
        folder: where to search.
        salt: of the pseudonyms; ``None``: a new one for each process.
        exclude: folders to leave out, for example that of the masks.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: a file with the suffix of DICOM is not DICOM.
    """
    root = Path(folder)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder")
    remarks: list[str] = []
    folders = [_read_folder(path) for path in _folders(root, set(exclude), remarks)]
    groups = _groups([header for content in folders for header in content.headers])
    references = _references(groups)
    names = _names(root, groups, references)
    studies = _study_numbers(groups)
    series = [
        ImageSeries(
            references[i],
            names[i],
            group,
            pseudonym(group[0], salt or PROCESS_SALT),
            studies[i],
            _folder_of(group).relative_to(root).parts,
        )
        for i, group in enumerate(groups)
    ]
    for content in folders:
        remarks += content.not_images
    return Listing(
        series,
        [path for content in folders for path in content.others],
        remarks,
        [path for content in folders for path in content.labels],
        [remark for content in folders for remark in content.label_remarks],
    )


def headers_of(reference: Path) -> tuple[Header, ...]:
    """Return the headers of the files of a series.

    Raises:
        FileNotFoundError: no DICOM image in the folder, or no such series.
        ValueError: the folder holds several series.
    """
    folder, mark, _ = str(reference).rpartition(MARK)
    if reference.is_dir() or not mark:
        return _only_series(reference)
    for series in find_series(Path(folder)).series:
        if series.path == reference:
            return series.headers
    raise FileNotFoundError(f"{reference}: no such series in {folder}; list the folder again")


def is_series(path: Path) -> bool:
    """Return whether a path names a series: a folder, or ``FOLDER#UID``.

    Example:
        >>> is_series(Path(".")), is_series(Path(".#1.2.3")), is_series(Path("stack.tif#3"))
        (True, True, False)
    """
    folder, mark, _ = str(path).rpartition(MARK)
    return path.is_dir() or (bool(mark) and not path.exists() and Path(folder or ".").is_dir())


def pseudonym(header: Header, salt: str) -> str:
    """Return a name for the patient of an image, from which the patient cannot be known.

    It is the beginning of the SHA-256 of the salt and the PatientID; without one, of the study or
    the frame of reference; without these, of the series.
    """
    identity = header.patient or header.series or str(header.path)
    digest = hashlib.sha256(f"{salt}\0{identity}".encode()).hexdigest()
    return f"p{digest[:PSEUDONYM_DIGITS]}"


def series_table(series: Iterable[ImageSeries]) -> str:
    """Return a table of series as text: pseudonym, study, modality, description, slices, name.

    Example:
        >>> series_table([]).split()
        ['patient', 'study', 'modality', 'slices', 'name', 'description']
    """
    rows = [("patient", "study", "modality", "slices", "name", "description")]
    rows += [
        (one.patient, str(one.study), one.modality or "-", str(one.slices), one.name,
         one.description)
        for one in series
    ]  # fmt: skip
    cells = [[plain_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)


def _only_series(folder: Path) -> tuple[Header, ...]:
    groups = _groups(list(_read_folder(folder).headers)) if folder.is_dir() else []
    if not groups:
        raise FileNotFoundError(f"{folder}: no DICOM file in this folder")
    if len(groups) > 1:
        counts = ", ".join(str(len(group)) for group in groups)
        raise ValueError(
            f"{folder}: {len(groups)} DICOM series (of {counts} files); expected one; choose with "
            "--series, as SeriesDescription~T1, or put each in a separate folder"
        )
    return groups[0]


def _folders(root: Path, exclude: set[Path], remarks: list[str]) -> Iterator[Path]:
    """Yield the folder and those below it, without those of systems; links are followed once."""
    seen: set[Path] = {path.resolve() for path in exclude} - {root.resolve()}

    def walk(folder: Path) -> Iterator[Path]:
        if folder.resolve() in seen:
            return
        seen.add(folder.resolve())
        yield folder
        for path in sorted(path for path in folder.iterdir() if path.is_dir()):
            if path.name in SYSTEM_FOLDERS or path.name.startswith("."):
                remarks.append(f"{path}: skipped, a folder of the system")
            else:
                yield from walk(path)

    return walk(root)


def _read_folder(folder: Path) -> _Folder:
    with os.scandir(folder) as entries:
        files = sorted((entry.name, entry.stat()) for entry in entries if entry.is_file())
    stamp = tuple((name, status.st_mtime_ns, status.st_size) for name, status in files)
    return _read_stamped(folder, stamp)


@lru_cache(maxsize=4096)  # a series is opened again for each reading; its headers stay the same
def _read_stamped(folder: Path, stamp: Stamp) -> _Folder:
    headers: list[Header] = []
    others: list[Path] = []
    skipped: dict[str, list[str]] = {}
    labels: dict[str, list[str]] = {}
    for name, *_ in stamp:
        path = folder / name
        if name.startswith("."):
            skipped.setdefault("hidden", []).append(name)
        elif not is_dicom(path):
            others.append(path)
        else:
            try:
                headers.append(read_header(path))
            except NotAnImageError as error:
                reason = str(error).removeprefix(f"{path}: ").partition(";")[0]
                of_kind = labels if isinstance(error, LabelsError) else skipped
                of_kind.setdefault(reason, []).append(name)
    return _Folder(
        tuple(headers),
        tuple(others),
        _skip_remarks(folder, skipped),
        tuple(folder / name for names in labels.values() for name in names),
        _skip_remarks(folder, labels),
    )


def _skip_remarks(folder: Path, skipped: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    return tuple(skip_remark(folder, names, reason) for reason, names in skipped.items())


def skip_remark(folder: Path, names: Sequence[str], reason: str) -> str:
    """Return the line that says which files of a folder were skipped.

    Example:
        >>> skip_remark(Path("scans"), ["a.txt", "b.txt"], "not an image")
        'scans: skipped a.txt, b.txt: not an image'
    """
    more = len(names) - MAX_SKIPPED_NAMES
    shown = ", ".join(names[:MAX_SKIPPED_NAMES]) + (f" and {more} more" if more > 0 else "")
    return f"{folder}: skipped {shown}: {reason}"


def _groups(headers: Sequence[Header]) -> list[tuple[Header, ...]]:
    """Group the files that are one series, in the order of their first files."""
    by_key: dict[tuple[str, str, str, tuple[int, int]], list[list[Header]]] = {}
    groups: list[list[Header]] = []
    for header in headers:
        if header.frames > 1 or header.is_projection:
            groups.append([header])
            continue
        parallel = by_key.setdefault((header.patient, header.study, header.series, header.size), [])
        _add_parallel(parallel, header)
    for parallel in by_key.values():
        for group in parallel:
            groups += _split_by_folder(group)
    single = [part for group in groups for part in _split_without_place(group)]
    return sorted(map(tuple, single), key=lambda group: str(group[0].path))


def _add_parallel(groups: list[list[Header]], header: Header) -> None:
    for group in groups:
        first, place = group[0].place, header.place
        if (
            first is None
            or place is None
            or np.allclose(first.directions, place.directions, atol=ORIENTATION_TOLERANCE)
        ):
            group.append(header)
            return
    groups.append([header])


def _split_by_folder(group: list[Header]) -> list[list[Header]]:
    """Keep the files of several folders together unless two of different ones lie alike."""
    folders: dict[Path, list[Header]] = {}
    for header in group:
        folders.setdefault(header.path.parent, []).append(header)
    seen: dict[tuple[float, ...], Path] = {}
    for header in group:
        if header.place is None:
            return list(folders.values())
        key = tuple(np.round(header.place.position, POSITION_DIGITS).tolist())
        if seen.setdefault(key, header.path.parent) != header.path.parent:
            return list(folders.values())
    return [group]


def _split_without_place(group: list[Header]) -> list[list[Header]]:
    """Take files without any position as flat images; where some have one, one is missing."""
    if all(header.place is None for header in group):
        return [[header] for header in group]
    return [group]


def _folder_of(group: Sequence[Header]) -> Path:
    return Path(os.path.commonpath([header.path.parent for header in group]))


def _references(groups: Sequence[tuple[Header, ...]]) -> list[Path]:
    in_folder: dict[Path, int] = {}
    for group in groups:
        for folder in {header.path.parent for header in group}:
            in_folder[folder] = in_folder.get(folder, 0) + 1
    used: dict[str, int] = {}
    references = []
    for group in groups:
        folder = _folder_of(group)
        if len(group) == 1:
            references.append(group[0].path)
        elif folder == group[0].path.parent and in_folder.get(folder) == 1:
            references.append(folder)
        else:
            base = f"{folder}{MARK}{group[0].series}"
            used[base] = used.get(base, 0) + 1
            references.append(Path(base if used[base] == 1 else f"{base}-{used[base]}"))
    return references


def _names(
    root: Path, groups: Sequence[tuple[Header, ...]], references: Sequence[Path]
) -> list[str]:
    names: list[str] = []
    folders = [_folder_of(group) for group in groups]
    for group, folder, reference in zip(groups, folders, references, strict=True):
        parts = list(folder.relative_to(root).parts)
        if len(group) == 1 and (folders.count(folder) > 1 or not parts):
            parts.append(file_stem(reference))
        name = "_".join(parts) or root.resolve().name
        if len(group) > 1 and sum(len(other) > 1 and _folder_of(other) == folder
                                  for other in groups) > 1:  # fmt: skip
            name = f"{name}_{1 + sum(one.startswith(f'{name}_') for one in names)}"
        while name in names:
            name += "_2"
        names.append(name)
    return names


def file_stem(path: Path) -> str:
    """Return the name of a DICOM file without its suffix; other dots belong to the name.

    Example:
        >>> file_stem(Path("a.b.dcm")), file_stem(Path("1.2.840.1"))
        ('a.b', '1.2.840.1')
    """
    return path.stem if path.suffix.lower() in DICOM else path.name


def _study_numbers(groups: Sequence[tuple[Header, ...]]) -> list[int]:
    studies: dict[str, list[str]] = {}
    numbers = []
    for group in groups:
        of_patient = studies.setdefault(group[0].patient, [])
        if group[0].study not in of_patient:
            of_patient.append(group[0].study)
        numbers.append(1 + of_patient.index(group[0].study))
    return numbers
