"""What the calls of viewers lead to."""

import logging
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from pipeline.data.identity import hash_pixels
from pipeline.data.label_numbers import painted_numbers
from pipeline.data.volumes import read_volume
from pipeline.errors import error_line
from pipeline.files import atomic
from pipeline.inference.formats import save_volume
from pipeline.inference.report import InferenceCase
from pipeline.inference.single import SingleInference
from pipeline.serving.geometry import Segmented, grid_of, segmented
from pipeline.serving.images import ServedImage, ServedImages, checked_id
from pipeline.serving.jobs import JobQueue
from pipeline.serving.label_cohort import LabelCohort, LabelVersion
from pipeline.serving.label_uploads import NamedNumber, numbers_on_grid, renumbered
from pipeline.serving.next_image import NextImages
from pipeline.serving.refusals import UnknownError
from pipeline.serving.sessions import Sessions
from pipeline.serving.settings import ServeSettings
from pipeline.serving.training import Training
from pipeline.serving.uncertainty import UncertaintyTable, mean_entropy
from pipeline.serving.uploads import (
    IMAGE_SUFFIXES,
    LABEL_SUFFIXES,
    store_upload,
    suffix_of_upload,
)

WORK = ".serve"
"""Folder in that of the labels for what is not kept."""
logger = logging.getLogger(__name__)


class Upload(NamedTuple):
    """An uploaded file.

    Attributes:
        name: as the plug-in names it; its suffix alone is used.
        file: its content.
    """

    name: str | None
    file: BinaryIO


class Service:
    """Images, inference and labels of one bundle.

    Args:
        inference: of the bundle.
        settings: what is accepted.
        images: folder of the images to be labelled; None: uploaded ones alone.
        data: cohort of the labels.
        training: that a plug-in may start.

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
        self.sessions = Sessions(self.work / "sessions", settings.upload_bytes)
        self.uncertainty = UncertaintyTable(self.work / "uncertainty.json", sha256)
        self.next_images = NextImages(self.uncertainty, lambda image: self._score(image))
        self.jobs = JobQueue(settings.waiting, self._score_another)
        self._unscorable: set[str] = set()
        self._adding, self._decoding = threading.Lock(), threading.Lock()
        # of a process that was killed; and downloads of images that may have changed since
        for name in ("outputs", "uploads", "downloads"):
            shutil.rmtree(self.work / name, ignore_errors=True)

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

    def segment(self, image: ServedImage) -> Segmented:
        """Segment a served image when its turn comes, and keep its uncertainty.

        Raises:
            BusyError: too many wait.
            ValueError: it cannot be segmented.
        """
        return self.jobs.do(lambda: self._segment(image))

    def segment_session(self, key: str) -> Segmented:
        """Segment a lent image when its turn comes.

        Raises:
            UnknownError: no such session.
            BusyError: too many wait.
            ValueError: it cannot be segmented.
        """
        folder = self.sessions.get(key).folder
        return self.jobs.do(lambda: self._infer(self.inference.cases(folder)[0]))

    def segment_upload(self, upload: Upload) -> Segmented:
        """Segment an image that comes with the call, and is not kept.

        Raises:
            BusyError: too many wait.
            ValueError: it is not accepted, or cannot be segmented.
        """
        session = self.sessions.add(upload.name, upload.file)
        try:
            return self.segment_session(session.id)
        finally:
            self.sessions.remove(session.id)

    def segment_as_dicom(self, image: ServedImage) -> bytes:
        """Return the DICOM segmentation of a served image.

        Raises:
            BusyError: too many wait.
            ValueError: it cannot be segmented, or is not DICOM.
        """

        def job() -> bytes:
            with self._output() as folder:
                inferred = self.inference(image.case, folder)
                return self.inference.dicom_segmentation(inferred, folder).read_bytes()

        return self.jobs.do(job)

    def add_image(self, name: str, upload: Upload) -> ServedImage:
        """Keep an uploaded image under an id; the same image again is the one that is there.

        Raises:
            ValueError: it is not accepted, or another image has the id.
            OSError: it cannot be written.
        """
        name = checked_id(name)
        suffix = suffix_of_upload(upload.name, IMAGE_SUFFIXES)
        path = store_upload(upload.file, self.work / "uploads", suffix, self.settings.upload_bytes)
        try:
            with self._adding:  # two of one name
                if self.images.has(name):
                    return self._same(self.images.get(name), path)
                return self._keep(path, self.cohort.images / f"{name}{suffix}")
        finally:
            path.unlink(missing_ok=True)

    def save_label(
        self, image: ServedImage, upload: Upload, named: list[NamedNumber], author: str, client: str
    ) -> LabelVersion:
        """Save a label of an image as a new version.

        Raises:
            ValueError: it lies on another grid, or holds other numbers or names than the bundle's.
            OSError: it cannot be written.
        """
        suffix = suffix_of_upload(upload.name, LABEL_SUFFIXES)
        folder = self.work / "uploads"
        path = store_upload(upload.file, folder, suffix, self.settings.upload_bytes)
        try:
            with self._decoding:  # one at a time fits into memory
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

    def viewer_file(self, image: ServedImage) -> Path:
        """Return the file of an image that a viewer loads: its own, of DICOM as NIfTI.

        Raises:
            ValueError: it cannot be read.
            OSError: it cannot be written.
        """
        if image.header is None:
            return image.path
        path = self.work / "downloads" / f"{image.file_name}.nii.gz"
        if not path.is_file():
            volume = read_volume(image.path)
            with atomic(path) as temporary:
                array = np.atleast_3d(volume.array)
                save_volume(temporary, array, volume.affine, volume.in_mm)
        return path

    def _keep(self, path: Path, target: Path) -> ServedImage:
        if target.exists():
            raise ValueError(
                f"image {target.name!r}: the cohort has a file of this name that is not served; "
                "rename the volume in the viewer"
            )
        target.parent.mkdir(0o700, parents=True, exist_ok=True)
        path.rename(target)
        try:
            return self.images.add(target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    def _same(self, image: ServedImage, path: Path) -> ServedImage:
        other = self.viewer_file(image)
        if hash_pixels(other).pixels != hash_pixels(path).pixels:
            raise ValueError(
                f"image {image.id!r}: another image has this id; rename the volume in the viewer"
            )
        return image

    def _segment(self, image: ServedImage) -> Segmented:
        result = self._infer(image.case)
        self.uncertainty.set(image.id, mean_entropy(result.maps))
        return result

    def _infer(self, case: InferenceCase) -> Segmented:
        with self._output() as folder:
            return segmented(self.inference(case, folder))

    def _score(self, image: ServedImage) -> None:
        self.segment(image)

    def _score_another(self) -> bool:
        """Score an image while no job waits; return whether one was left."""
        if not self.next_images.is_asked.is_set():
            return False
        for image in self.unlabelled():
            if self.uncertainty.get(image.id) is None and image.id not in self._unscorable:
                self._try_to_score(image)
                return True
        self.next_images.is_asked.clear()  # until it is asked for again
        return False

    def _try_to_score(self, image: ServedImage) -> None:
        try:
            self._segment(image)
        except Exception as error:  # one bad image stops neither the others nor the service
            self._unscorable.add(image.id)
            logger.warning("an image is not scored: %s", error_line(error) or type(error).__name__)

    @contextmanager
    def _output(self) -> Iterator[Path]:
        """Yield a folder for what inference writes; it is removed afterwards."""
        folder = self.work / "outputs" / uuid.uuid4().hex
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
