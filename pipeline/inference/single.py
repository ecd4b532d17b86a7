"""The inference of a bundle, loaded once, for images that come one at a time."""

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.data.label_numbers import LabelNumbers
from pipeline.errors import without_wrapping
from pipeline.inference.folder import find_cases
from pipeline.inference.further_results import InferredImage
from pipeline.inference.infer import group_pages, infer_case
from pipeline.inference.prediction import FOREGROUND, inference_workflow
from pipeline.inference.report import InferenceCase
from pipeline.inference.trained_model import TrainedModel

METADATA = "configs/metadata.json"


class LastImage:
    """Keeps what was inferred of the last image, in the place of a writer of further results."""

    needs_maps = True
    settings: Mapping[str, Any] = {}

    def __init__(self) -> None:
        self.image: InferredImage | None = None

    def check(self, case: InferenceCase) -> None:
        """Take any image."""

    def write(self, image: InferredImage, folder: Path) -> list[str]:
        """Keep the image."""
        self.image = image
        return []


class SingleInference:
    """Segments one image after another as ``unet-school infer`` does, with one loaded model.

    Args:
        bundle: its folder, own or received.
        run: a training by its name or id; None: the newest.
        overlays: that the newest was trained with.
        overrides: keys of the config and their values; a received bundle reads and writes only
            where they say (``image_dir``, ``dataset_dir``, ``output_dir``).

    Attributes:
        bundle: name of the bundle.
        description: what the bundle is for, as its metadata say it.
        version: of the bundle.
        model: the trained model.
        labels: name of each label and its number or numbers.
        spatial_dims: dimensions of the network.

    Raises:
        FileNotFoundError: no such bundle, or it has not been trained.
        ValueError: no such run; weights of another network; a misspelt override.
    """

    def __init__(
        self,
        bundle: str | Path,
        run: str | None = None,
        overlays: Sequence[str | Path] = (),
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        kinds = ["seg"] if find_spec("highdicom") else None
        settings = {**(overrides or {}), "dicom": kinds}
        workflow = inference_workflow(bundle, run, overlays, settings)
        workflow.parser["dataset#data"] = []  # the images come later
        names = ("trained_model", "evaluator", "writer", "dicom_results")
        self.model: TrainedModel
        with without_wrapping():
            self.model, self._evaluator, self._writer, dicom = workflow.parts(*names)
            self.bundle, labels, self.spatial_dims = workflow.parts(
                "bundle", "labels", "spatial_dims"
            )
            self._found_by = workflow.parts("series", "channels")
        self._transform = self._evaluator.data_loader.dataset.transform
        self._dicom = dicom if kinds else None
        self._last = self._writer.results = LastImage()
        self.labels: LabelNumbers = labels or {FOREGROUND: 1}
        metadata = json.loads((Path(bundle) / METADATA).read_text("utf-8"))
        self.description, self.version = metadata["description"], metadata["version"]

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels that a case has a file of each; empty: a case is one file."""
        return tuple(self._found_by[1] or ())

    def cases(self, folder: Path) -> list[InferenceCase]:
        """Return the images of a folder as ``unet-school infer`` lists them.

        Raises:
            FileNotFoundError: no such folder, or no image in it.
            ValueError: an image is corrupt, or two would be written alike.
        """
        return group_pages(find_cases(str(folder), self.spatial_dims, *self._found_by))

    def __call__(self, case: InferenceCase, folder: Path) -> InferredImage:
        """Segment an image; its mask and a report are written to a folder.

        Raises:
            ValueError: it cannot be inferred.
            OSError: the disk cannot be written.
        """
        self._writer.write_to(folder)
        self._last.image = None
        infer_case(self._evaluator, self._writer, case, self._transform)
        if self._writer.report.failed or self._last.image is None:
            raise ValueError(self._writer.report.failed[0]["reason"])
        return self._last.image

    def dicom_segmentation(self, image: InferredImage, folder: Path) -> Path:
        """Write what was inferred as a DICOM segmentation, and return its path.

        Raises:
            ModuleNotFoundError: the extra ``dicom`` is not installed.
            ValueError: the image is not DICOM, or lacks an attribute.
        """
        import highdicom  # noqa: F401 - its absence is said as everywhere

        assert self._dicom is not None
        self._dicom.check(image.case)
        [name] = self._dicom.write(image, folder)
        return folder / name
