"""What the calls of viewers lead to."""

import shutil
from pathlib import Path
from typing import Any

from pipeline.data.label_numbers import painted_numbers
from pipeline.inference.single import SingleInference
from pipeline.serving.geometry import Segmented, grid_of
from pipeline.serving.image_files import ImageFiles, Upload
from pipeline.serving.images import ServedImage, ServedImages
from pipeline.serving.label_cohort import LabelCohort
from pipeline.serving.label_uploads import NamedNumber, numbers_on_grid, renumbered
from pipeline.serving.label_versions import LabelVersion
from pipeline.serving.plain_answers import NamesOnly
from pipeline.serving.refusals import UnknownError
from pipeline.serving.segmenter import Segmenter
from pipeline.serving.sessions import Sessions
from pipeline.serving.settings import ServeSettings
from pipeline.serving.training import Training
from pipeline.serving.uploads import LABEL_SUFFIXES, UploadStore, suffix_of_upload

WORK = ".serve"
"""Folder in that of the labels for what is not kept."""


class Service:
    """The parts of a service for one bundle, and what needs several of them.

    Args:
        inference: of the bundle.
        settings: what is accepted.
        images: folder of the images to be labelled; None: uploaded ones alone.
        data: cohort of the labels.
        training: that a plug-in may start.

    Attributes:
        cohort: the saved labels.
        images: that are served, by their ids.
        files: of images, as they come from viewers and go to them.
        segmenter: segments them, one at a time.
        sessions: images that viewers lend.
        names_only: takes the places of files out of an answer.

    Raises:
        FileNotFoundError: no image in the folder.
        ValueError: an image is corrupt; the cohort has other labels.
    """

    def __init__(
        self,
        inference: SingleInference,
        settings: ServeSettings,
        images: Path | None,
        data: Path,
        training: Training,
    ) -> None:
        self.inference, self.settings, self.training = inference, settings, training
        self.work = data / WORK
        sha256 = inference.model.record.sha256
        self.cohort = LabelCohort(data, inference.bundle, inference.labels, sha256)
        self.images = ServedImages(inference, images, self.cohort.images)
        shutil.rmtree(self.work / "uploads", ignore_errors=True)  # of a process that was killed
        self.uploads = UploadStore(self.work / "uploads", settings.upload_bytes)
        self.files = ImageFiles(self.images, self.uploads, self.work / "downloads")
        self.sessions = Sessions(self.work / "sessions", self.uploads)
        self.segmenter = Segmenter(inference, self.work, settings.waiting, self.unlabelled)
        places = (data, images, Path(inference.model.path).parent)
        self.names_only = NamesOnly(place for place in places if place is not None)

    @property
    def numbers(self) -> dict[str, int]:
        """Number of each label in a label map, by name, in ascending order."""
        labels = self.inference.labels
        numbers = zip(labels, painted_numbers(labels), strict=True)
        return dict(sorted(numbers, key=lambda item: item[1]))

    def check_model(self, name: str) -> None:
        """Refuse another model than the served one.

        Raises:
            UnknownError: no such model.
        """
        if name != self.inference.bundle:
            raise UnknownError(f"model {name[:60]!r}: not known; expected {self.inference.bundle}")

    def unlabelled(self) -> list[ServedImage]:
        """Return the images without a label."""
        labelled = self.cohort.labelled()
        return [image for image in self.images.all() if image.file_name not in labelled]

    def segment_session(self, key: str, user: str) -> Segmented:
        """Segment an image that a user lends.

        Raises:
            UnknownError: no such session.
            BusyError: too many wait.
            ValueError: it cannot be segmented.
        """
        return self.segmenter.segment_folder(self.sessions.get(key, user).folder)

    def segment_upload(self, upload: Upload, user: str) -> Segmented:
        """Segment an image that comes with the call, and is not kept.

        Raises:
            BusyError: too many wait.
            ValueError: it is not accepted, or cannot be segmented.
        """
        session = self.sessions.add(user, upload.name, upload.file)
        try:
            return self.segmenter.segment_folder(session.folder)
        finally:
            self.sessions.discard(session)

    def save_label(
        self, image: ServedImage, upload: Upload, named: list[NamedNumber], author: str, client: str
    ) -> LabelVersion:
        """Save a label of an image as a new version.

        Raises:
            ValueError: it lies on another grid, or holds other numbers or names than the bundle's.
            OSError: it cannot be written.
        """
        suffix = suffix_of_upload(upload.name, LABEL_SUFFIXES)
        path = self.uploads.store(upload.file, suffix)
        try:
            with self.uploads.decoding:
                grid = grid_of(image.path)
                numbers = renumbered(numbers_on_grid(path, grid), named, self.inference.labels)
        finally:
            path.unlink(missing_ok=True)
        return self.cohort.save(image, numbers, grid, author, client)

    def start_training(self) -> dict[str, Any]:
        """Start a training on the labels, and return its status.

        Raises:
            ValueError: none may be started, one runs, or no image validates yet.
        """
        listed = self.cohort.datalist()
        if self.training.is_allowed and (listed is None or not listed.listed("validation")):
            raise ValueError(
                f"{self.cohort.folder}: no label validates yet; save some, then unet-school data "
                f"split {self.cohort.folder}"
            )
        return self.training.start()
