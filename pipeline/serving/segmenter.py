"""Segmenting images one at a time, and scoring those that nobody asked for meanwhile."""

import logging
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import error_line
from pipeline.inference.report import InferenceCase
from pipeline.inference.single import SingleInference
from pipeline.serving.geometry import Segmented, segmented
from pipeline.serving.images import ServedImage
from pipeline.serving.jobs import JobQueue
from pipeline.serving.next_image import NextImages
from pipeline.serving.uncertainty import UncertaintyTable, mean_entropy

logger = logging.getLogger(__name__)


class Segmenter:
    """Segments images when their turn comes, and keeps how uncertain the model is of each.

    Args:
        inference: of the bundle.
        work: folder for what is not kept.
        waiting: largest number of inferences that wait.
        unlabelled: returns the images without a label, which are scored while nobody waits.

    Attributes:
        jobs: the queue; it is to be entered.
        uncertainty: of each image that was segmented.
        next_images: chooses by it.
    """

    def __init__(
        self,
        inference: SingleInference,
        work: Path,
        waiting: int,
        unlabelled: Callable[[], Sequence[ServedImage]],
    ) -> None:
        self.inference, self.unlabelled = inference, unlabelled
        self.outputs = work / "outputs"
        sha256 = inference.model.record.sha256
        self.uncertainty = UncertaintyTable(work / "uncertainty.json", sha256)
        self.next_images = NextImages(self.uncertainty, lambda image: self._score(image))
        self.jobs = JobQueue(waiting, self.score_another)
        self._unscorable: set[str] = set()
        shutil.rmtree(self.outputs, ignore_errors=True)  # of a process that was killed

    def segment(self, image: ServedImage) -> Segmented:
        """Segment a served image, and keep its uncertainty.

        Raises:
            BusyError: too many wait.
            ValueError: it cannot be segmented.
        """
        return self.jobs.do(lambda: self._segment(image))

    def segment_folder(self, folder: Path) -> Segmented:
        """Segment the image in a folder.

        Raises:
            BusyError: too many wait.
            ValueError: it cannot be segmented.
        """
        return self.jobs.do(lambda: self._infer(self.inference.cases(folder)[0]))

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

    def score_another(self) -> bool:
        """Score an image while no job waits; return whether one was left."""
        if not self.next_images.is_asked.is_set():
            return False
        for image in self.unlabelled():
            if self.uncertainty.get(image.id) is None and image.id not in self._unscorable:
                self._try_to_score(image)
                return True
        self.next_images.is_asked.clear()  # until it is asked for again
        return False

    def _score(self, image: ServedImage) -> None:
        self.segment(image)

    def _segment(self, image: ServedImage) -> Segmented:
        result = self._infer(image.case)
        self.uncertainty.set(image.id, mean_entropy(result.maps))
        return result

    def _infer(self, case: InferenceCase) -> Segmented:
        with self._output() as folder:
            return segmented(self.inference(case, folder))

    def _try_to_score(self, image: ServedImage) -> None:
        try:
            self._segment(image)
        except Exception as error:  # one bad image stops neither the others nor the service
            self._unscorable.add(image.id)
            logger.warning("an image is not scored: %s", error_line(error) or type(error).__name__)

    @contextmanager
    def _output(self) -> Iterator[Path]:
        """Yield a folder for what inference writes; it is removed afterwards."""
        folder = self.outputs / uuid.uuid4().hex
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
