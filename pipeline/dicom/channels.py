"""References to the series of the further channels of a case, such as T2 beside T1."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from pydicom import Dataset
from pydicom.sequence import Sequence as Items

Series = Mapping[str, list[Dataset]]
"""Headers of the images of each series, by its UID."""


def check_one_patient(first: Dataset, paths: Sequence[Path], headers: Sequence[Dataset]) -> None:
    """Refuse channels of several patients: a result belongs to one.

    Raises:
        ValueError: a channel has another PatientID than the first.
    """
    for path, header in zip(paths, headers, strict=True):
        if header.PatientID != first.PatientID:
            raise ValueError(
                f"{path}: another PatientID than the first image of its case; a result as DICOM "
                "belongs to one patient; are the files of the case named right?"
            )


def by_series(headers: Iterable[Dataset]) -> Series:
    """Return headers by their series, each image once."""
    series: dict[str, dict[str, Dataset]] = {}
    for header in headers:
        series.setdefault(header.SeriesInstanceUID, {})[header.SOPInstanceUID] = header
    return {uid: list(images.values()) for uid, images in series.items()}


def image_item(header: Dataset) -> Dataset:
    """Return an item of a sequence that refers to a whole file."""
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return item


def refer_to(data: Dataset, headers: Iterable[Dataset]) -> None:
    """Name images in an object, beside those to which it refers already.

    Those of its own study are in ``ReferencedSeriesSequence``, the others in
    ``StudiesContainingOtherReferencedInstancesSequence``: PS3.3, Common Instance Reference Module.

    Args:
        data: the object.
        headers: of the images.
    """
    referred = {
        item.ReferencedSOPInstanceUID
        for series in data.get("ReferencedSeriesSequence", ())
        for item in series.ReferencedInstanceSequence
    }
    new = [header for header in headers if header.SOPInstanceUID not in referred]
    for study, images in _by_study(new):
        items = [_series_item(uid, one) for uid, one in by_series(images).items()]
        if study == data.StudyInstanceUID:
            data.ReferencedSeriesSequence = Items([*data.ReferencedSeriesSequence, *items])
            continue
        other = Dataset()
        other.StudyInstanceUID, other.ReferencedSeriesSequence = study, Items(items)
        others = data.get("StudiesContainingOtherReferencedInstancesSequence", ())
        data.StudiesContainingOtherReferencedInstancesSequence = Items([*others, other])


def _by_study(headers: Iterable[Dataset]) -> Iterator[tuple[str, list[Dataset]]]:
    ordered = sorted(headers, key=_study)
    return ((study, list(images)) for study, images in groupby(ordered, _study))


def _study(header: Dataset) -> str:
    return str(header.StudyInstanceUID)


def _series_item(uid: str, headers: Iterable[Dataset]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = uid
    item.ReferencedInstanceSequence = Items([image_item(header) for header in headers])
    return item
