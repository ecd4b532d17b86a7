"""The cohort that saved labels go into: every version is kept, the newest is listed."""

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from pipeline.claims import claim
from pipeline.data.cohort import GIT_IGNORE
from pipeline.data.datalist import Datalist
from pipeline.data.label_numbers import LabelNumbers
from pipeline.files import sha256, write_json, write_text
from pipeline.serving.case_listing import VOLUME, CaseListing
from pipeline.serving.cohort_files import copied_image, save_label
from pipeline.serving.images import ServedImage
from pipeline.serving.label_versions import LABELS, LabelVersion, LabelVersions
from pipeline.serving.slice_files import is_sliced, save_slices
from transforms.places import Grid

IMAGES = "images"
WAIT_SECONDS = 30.0
"""How long another command may write the cohort."""


class NewestLabel(NamedTuple):
    """The newest label of an image.

    Attributes:
        path: of its file.
        saved: what is known of it; None: the cohort was prepared with it.
    """

    path: Path
    saved: LabelVersion | None = None


class LabelCohort:
    """A cohort as ``unet-school train --data`` takes it, which grows by each saved label.

    How cases are split: :class:`pipeline.serving.case_listing.CaseListing`; ``unet-school data
    split`` divides them anew. Of a volume for a bundle of flat images each slice that holds a label
    is a case (:mod:`pipeline.serving.slice_files`).

    Args:
        folder: of the cohort; it is made with the first label.
        name: of the cohort, if it is new.
        labels: number or numbers of each label, by name.
        model_sha256: hash of the weights that are served.

    Raises:
        ValueError: the cohort has other labels.
    """

    def __init__(self, folder: Path, name: str, labels: LabelNumbers, model_sha256: str) -> None:
        self.folder, self.labels, self.model_sha256 = folder, labels, model_sha256
        self._versions = LabelVersions(folder)
        self._listing = CaseListing(folder, name, labels)
        self._lock = threading.Lock()
        listed = self.datalist()
        if listed is not None and listed.labels and dict(listed.labels) != dict(labels):
            raise ValueError(
                f"{listed.path}: has the labels {dict(listed.labels)}, expected those of the "
                f"bundle, {dict(labels)}; give another --data"
            )

    @property
    def images(self) -> Path:
        """Folder of the images of the cohort."""
        return self.folder / IMAGES

    def datalist(self) -> Datalist | None:
        """Return the datalist; None: there is none yet."""
        return self._listing.datalist()

    def labelled(self) -> set[str]:
        """Return the names of the images that have a label, listed or kept alone."""
        return self._versions.names() | set(self._listing.labels_by_image())

    def versions(self, image: ServedImage) -> list[LabelVersion]:
        """Return the saved labels of an image, the oldest first."""
        return self._versions.of(image.file_name)

    def newest(self) -> Mapping[str, NewestLabel]:
        """Return the newest label of each image by its name; each file is read once."""
        prepared = self._listing.labels_by_image().items()
        labels = {name: NewestLabel(self.folder / file) for name, file in prepared}
        for name, versions in self._versions.all().items():
            labels[name] = NewestLabel(self.folder / versions[-1].file, versions[-1])
        return labels

    def label_of(self, image: ServedImage) -> Path | None:
        """Return the newest label of an image; None: it has none."""
        versions = self.versions(image)
        file = versions[-1].file if versions else None
        file = file or self._listing.labels_by_image().get(image.file_name)
        return None if file is None else self.folder / file

    def save(
        self, image: ServedImage, numbers: NDArray[Any], grid: Grid, author: str, client: str
    ) -> LabelVersion:
        """Save a label of an image.

        Args:
            image: that it belongs to.
            numbers: of the labels, ``(X, Y, Z)``.
            grid: of the image.
            author: whose token it was.
            client: what the plug-in says of itself.

        Raises:
            ValueError: another command writes the cohort.
            OSError: the disk cannot be written.
        """
        with self._lock, claim(self.folder, WAIT_SECONDS):
            self.folder.mkdir(0o700, parents=True, exist_ok=True)
            if not (self.folder / GIT_IGNORE).exists():
                write_text(self.folder / GIT_IGNORE, "*\n")
            copy = copied_image(image, self.images)
            version, stem = self._versions.next_stem(image.file_name)
            path = save_label(stem, numbers, grid, self.labels, copy)
            if copy is not None:
                files = [{"image": f"{IMAGES}/{copy.name}", "label": f"{LABELS}/{path.name}"}]
            else:
                files = save_slices(image, numbers, self.labels, self.folder, stem)
            record = LabelVersion(
                image=image.id, version=version, file=f"{LABELS}/{path.name}", author=author,
                client=client, time=time.strftime("%Y-%m-%dT%H:%M:%S%z"), sha256=sha256(path),
                model_sha256=self.model_sha256, listed=bool(files),
            )  # fmt: skip
            try:
                self._list(image, files, record)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            # from here on the datalist names the file
            write_json(stem.with_name(f"{stem.name}.json"), record.model_dump(), durable=True)
        return record

    def _list(self, image: ServedImage, files: list[dict[str, str]], record: LabelVersion) -> None:
        volume = {VOLUME: image.file_name} if is_sliced(image) else {}
        if files or (volume and self.datalist() is not None):
            saved = {**volume, "author": record.author, "labelled": record.time}
            self._listing.add(image, files, saved)
