"""The images that are served, by their ids; a call names an id and never a path."""

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.dicom_header import Header, is_dicom, read_header
from pipeline.data.series import headers_of, is_series
from pipeline.data.suffixes import stem_of
from pipeline.inference.report import InferenceCase
from pipeline.inference.single import SingleInference
from pipeline.serving.refusals import UnknownError

UID = re.compile(r"[0-9]+(\.[0-9]+)+")
NEW_ID = re.compile(r"\w[\w .()-]{0,119}")
"""Id of an uploaded image: its file is named after it."""


@dataclass(frozen=True)
class ServedImage:
    """An image that is served.

    Attributes:
        id: SeriesInstanceUID of a DICOM series, name of another file without its suffix.
        case: the image as inference takes it.
        header: of its DICOM files, of several channels of the first; None: it is no DICOM.
        channels: names of its channels, where each is a file; empty: it is one file.
    """

    id: str
    case: InferenceCase
    header: Header | None
    channels: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """Its file, or the reference of its series; of several channels, the first."""
        return self.case.path

    @property
    def file_name(self) -> str:
        """Name of its files in the cohort of labels, without suffix."""
        if NEW_ID.fullmatch(self.id) or self.id == stem_of(self.path):
            return self.id
        return hashlib.sha256(self.id.encode()).hexdigest()[:20]


class ServedImages:
    """The images of a folder, and those that were uploaded.

    Args:
        inference: that lists them as it takes them.
        folder: of the images; None: none but the uploaded ones.
        uploaded: folder of the uploaded ones and of those that were labelled.

    Raises:
        FileNotFoundError: no image in the folder.
        ValueError: an image is corrupt, or two would be written alike.
    """

    def __init__(self, inference: SingleInference, folder: Path | None, uploaded: Path) -> None:
        self.inference, self.uploaded = inference, uploaded
        self._lock = threading.Lock()
        self._images: dict[str, ServedImage] = {}
        if any(uploaded.glob("[!.]*")):
            self._images |= self._listed(uploaded)
        if folder is not None:
            self._images |= self._listed(folder)

    def all(self) -> list[ServedImage]:
        """Return the images in the order of their ids."""
        with self._lock:
            return [self._images[key] for key in sorted(self._images)]

    def get(self, name: str) -> ServedImage:
        """Return an image by its id, or by the id and a suffix.

        Raises:
            UnknownError: there is none.
        """
        with self._lock:
            image = self._images.get(name) or self._images.get(stem_of(Path(name)))
        if image is None:
            raise UnknownError(f"image {name[:100]!r}: not known; GET /datastore/?output=all")
        return image

    def has(self, name: str) -> bool:
        """Return whether an id is taken."""
        with self._lock:
            return name in self._images

    def add(self, path: Path) -> ServedImage:
        """Serve an image that was written to the folder of the uploaded ones.

        Raises:
            ValueError: the bundle does not take it.
        """
        uploaded = self._listed(self.uploaded)
        image = {key: one for key, one in uploaded.items() if one.path.name == path.name}
        if not image:
            raise ValueError(
                f"upload: not an image for this bundle, which takes images of "
                f"{self.inference.spatial_dims} dimensions; upload another one"
            )
        with self._lock:
            self._images |= image
        return next(iter(image.values()))

    def _listed(self, folder: Path) -> Mapping[str, ServedImage]:
        return _by_id(self.inference.cases(folder), self.inference.channels)


def checked_id(name: str) -> str:
    """Return the id of an image to be uploaded, without the suffix of a format.

    Raises:
        ValueError: a name that is no name of a file.

    Example:
        >>> checked_id("CT 4.nii.gz")
        'CT 4'
        >>> checked_id("../secret")
        Traceback (most recent call last):
        ValueError: image: found the id '../secret', expected letters, ...
    """
    stem = stem_of(Path(name)) if "/" not in name and "\\" not in name else name
    if not NEW_ID.fullmatch(stem):
        raise ValueError(
            f"image: found the id {name[:100]!r}, expected letters, digits, blanks and _ . - ( ), "
            "at most 120, beginning with a letter or a digit; rename the volume in the viewer"
        )
    return stem


def _by_id(cases: Sequence[InferenceCase], channels: tuple[str, ...]) -> Mapping[str, ServedImage]:
    """Return images by their ids; of two with one id each has its whole name."""
    headers = [_header(case) for case in cases]
    names = [_id(case, header) for case, header in zip(cases, headers, strict=True)]
    counts = Counter(names)
    unique = [
        name if counts[name] == 1 else case.name for name, case in zip(names, cases, strict=True)
    ]
    return {
        name: ServedImage(name, case, header, channels if _has_files(case) else ())
        for name, case, header in zip(unique, cases, headers, strict=True)
    }


def _id(case: InferenceCase, header: Header | None) -> str:
    if header is not None and UID.fullmatch(header.series) and not _has_files(case):
        return header.series
    return stem_of(Path(case.name))  # channels have several series


def _has_files(case: InferenceCase) -> bool:
    """Return whether a case has a file for each channel."""
    return isinstance(case.entries[0]["image"], list)


def _header(case: InferenceCase) -> Header | None:
    if is_series(case.path):
        return headers_of(case.path)[0]
    return read_header(case.path) if is_dicom(case.path) else None
