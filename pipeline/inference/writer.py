"""Writing predictions in the format of the image they belong to."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events

from pipeline.bundle.codes import read_colours
from pipeline.bundle.knobs import LABEL_NAME
from pipeline.bundle.received import containment
from pipeline.data.label_numbers import LabelNumbers, painted_numbers
from pipeline.data.readers import count_pages, first_path, split_page
from pipeline.inference.confidence import Confidence
from pipeline.inference.fitting import FittingInferer
from pipeline.inference.folder import written_name, written_volume
from pipeline.inference.formats import orthogonal_name
from pipeline.inference.further_results import FurtherResults, InferredImage, Instances
from pipeline.inference.grid import Grid, in_space
from pipeline.inference.input_check import InputCheck, InspectedImage
from pipeline.inference.log import InferenceLog
from pipeline.inference.made_with import made_with, threshold_source
from pipeline.inference.operating_point import OperatingPoint
from pipeline.inference.outer_contour import usable_thresholds
from pipeline.inference.predicted import Predicted, joined_pages
from pipeline.inference.prediction_files import PredictionFiles
from pipeline.inference.recorder import InferenceRecorder
from pipeline.inference.report import EMPTY, FULL, InferenceCase, InferenceReport
from pipeline.inference.series_uid import series_uid_of
from pipeline.inference.structures import FOREGROUND, instance_sizes, measure_structures, sizes_of
from pipeline.inference.trained_model import TrainedModel
from pipeline.inference.validation_values import structure_values
from pipeline.networks import take_remarks
from pipeline.provenance import versions


class WritePredictions:
    """Write a mask of each image that an evaluator infers, a probability map if wanted, a report.

    ``folder/mask/NAME``, ``folder/instances/NAME`` where instances are separated, and
    ``folder/probability/NAME`` on request lie as the image does and have its size:

    ======  =========  =========  ================  ===================  ==========================
    image   mask       instances  probability in 8  in 32                also
    ======  =========  =========  ================  ===================  ==========================
    PNG     0 and 255  16 bits    255 is 1          16 bits, 65535 is 1  JPEG, BMP, DICOM become PNG
    TIFF    0 and 255  16 bits    255 is 1          float32              all pages
    NIfTI   0 and 1    16 bits    255 is 1, stated  float32              affine and units kept
    volume  0 and 1    16 bits    255 is 1, stated  float32              NIfTI, whatever it was
    ======  =========  =========  ================  ===================  ==========================

    Where the slices of a volume are sheared, as by a tilted gantry, ``folder/mask`` also holds the
    mask on an orthogonal grid, ``NAME_orthogonal.nii.gz``: ITK refuses a sheared one.

    A volume is what a network of three dimensions infers; TIFF and NIfTI hold pages for a flat one.
    A mask of several labels, or of one whose number is not 1, holds the labels' numbers, in 16 bits
    if one is above 255.

    ``folder/run_report.json`` is an :class:`pipeline.inference.report.InferenceReport`: versions,
    device, operating point, the hash of the model and, of a received bundle, that of its archive;
    for each image what was written, what is measured of each structure
    (:class:`pipeline.inference.structures.Measurements`), the size of its pixels and the UID of its
    DICOM series as far as they are known, the seconds it took, and in what it differs from the
    training images. ``folder/volumes.csv`` has a line for each structure of each image.

    Masks in NIfTI name their numbers in an extension of the header.

    Args:
        folder: where to write.
        model: that infers.
        operating_point: how probabilities became masks, for the report; None: the model's own.
        report: what else the report says.
        labels: name of each label and its number in the mask, or the numbers of a region, of which
            the first is in the mask. Of several labels, probabilities are written to
            ``folder/probability/LABEL/NAME``, and where two are probable, the more probable one is
            in the mask; of regions that overlap, the later one.
        input_check: refuses an image, or says in what it differs from the training images.
        probabilities: bits of the probability maps, 8 or 32; None: none are written.
        results: writes further files of each image; None: there are none.
        metadata: path of the bundle's ``metadata.json``, which may name colours of the labels;
            None: they are the product's own.
        outer: whether the outer contours are written, too, to ``folder/outer/NAME``, of several
            labels to ``folder/outer/LABEL/NAME``.

    Raises:
        FileNotFoundError: no such metadata.
        ValueError: two labels with the same number, or the same first number; the name of one is
            no name of a folder; outer contours that the model does not have; a folder that a
            received bundle may not write; a colour is none.
    """

    def __init__(
        self,
        folder: str,
        model: TrainedModel,
        operating_point: OperatingPoint | None = None,
        report: dict[str, Any] | None = None,
        labels: LabelNumbers | None = None,
        input_check: InputCheck | None = None,
        probabilities: int | None = None,
        results: FurtherResults | None = None,
        metadata: str | None = None,
        outer: bool = False,
    ) -> None:
        self.places, self.model = containment(), model
        self.operating_point = operating_point or model.operating_point
        self.labels = labels or {}
        _check_label_names(self.labels)
        painted_numbers(self.labels)
        self.input_check, self.probabilities = input_check, probabilities
        self.results = results
        place = self.places.contained(folder, "--output_dir")
        file = None if metadata is None else Path(metadata)
        self.colours = read_colours(file, self.labels or [FOREGROUND])
        versions_averaged = self.operating_point.tta_versions
        self.outer = usable_thresholds(model.record.outer, versions_averaged) if outer else {}
        self.files = PredictionFiles(place, self.places, self.labels, self.colours, self.outer)
        more = {
            **(report or {}),
            **(results.settings if results else {}),
            **({"outer": self.outer} if outer else {}),
        }
        settings = made_with(model, self.operating_point, probabilities, more, self.places.record())
        source = threshold_source(model, self.operating_point)
        further = {"threshold_source": source, "versions": versions()}
        self.report = InferenceReport(self.folder, settings, further)
        self.case: InferenceCase | None = None
        self.pages: list[Predicted] = []
        self.inspected = InspectedImage([], {})
        self.reduced = ""
        self.located: list[str] = []
        self.clock = time.perf_counter()
        self.log, self.recorder = InferenceLog(), InferenceRecorder()

    @property
    def folder(self) -> Path:
        """Where it writes."""
        return self.files.folder

    def start(self, case: InferenceCase) -> None:
        """Begin an image: check it.

        Raises:
            ValueError: it cannot be inferred.
        """
        self.case, self.pages, self.clock = case, [], time.perf_counter()
        self.located = []
        if self.results is not None:
            self.results.check(case)
        self.inspected = InspectedImage([], {})  # not that of the image before
        self.inspected = self._check([entry["image"] for entry in case.entries])

    def write_to(self, folder: Path) -> None:
        """Write what follows to another folder, with a report of its own.

        Raises:
            ValueError: a received bundle may not write there.
        """
        place = self.places.contained(folder, "--output_dir")
        self.files = replace(self.files, folder=place)
        self.report = InferenceReport(self.folder, self.report.settings, self.report.further)

    def fail(self, case: InferenceCase, reason: str) -> None:
        """Name an image that could not be inferred."""
        self.report.fail(case.name, reason)
        self._record(case.path, time.perf_counter() - self.clock, ("failed",), {})

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator whose output is a list of items, as ``ToLabelMap`` leaves them."""
        self.report.further["device"] = str(getattr(engine.state, "device", "cpu"))
        engine.add_event_handler(Events.ITERATION_STARTED, _remarks)  # of an image that failed
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.COMPLETED, self._write_report)

    def _write_report(self) -> None:
        self.report.write()

    def _add(self, engine: Engine) -> None:
        inner = getattr(getattr(engine, "inferer", None), "inferer", None)
        self.reduced = inner.reduced if isinstance(inner, FittingInferer) else ""
        self.located += _remarks(engine)
        for item in engine.state.output:
            if item["image"].ndim == 4:
                self._write_volume(item)
            else:
                self._add_page(item)

    def _predicted(self, item: dict[str, Any]) -> Predicted:
        small = self.results is not None and self.results.needs_maps
        return Predicted.of_item(item, self.labels, self.probabilities, small, self.outer)

    def _add_page(self, item: dict[str, Any]) -> None:
        path, page = split_page(item["image"].meta["filename_or_obj"])
        predicted = self._predicted(item)
        maps, outer = list(predicted.maps), list(predicted.outer)  # until the last page
        self.pages.append(predicted._replace(maps=maps, outer=outer))
        if page is not None and page + 1 < count_pages(path):
            return
        pages, self.pages = self.pages, []
        self._write_pages(path, pages, item["image"])

    def _write_pages(self, path: Path, pages: list[Predicted], image: Any) -> None:
        name = self._written_as() or written_name(path)
        joined = joined_pages(pages)
        files = self.files.write_pages(path, name, pages, joined.mask)
        voxels, grid = in_space(joined.mask, image, path)
        counts = {"pages": len(pages), **self._measured(voxels, grid, joined.confidences)}
        self._report(path, name, files, joined, counts, grid)

    def _write_volume(self, item: dict[str, Any]) -> None:
        path, image = Path(item["image"].meta["filename_or_obj"]), item["image"]
        name = self._written_as() or written_volume(path)
        volume = self._predicted(item)
        affine, in_mm = image.affine.numpy(force=True), bool(image.meta.get("in_mm", True))
        files = self.files.write_volume(path, name, volume, affine, in_mm)
        grid = Grid.of_image(image, path)
        measured = self._measured(volume.mask, grid, volume.confidences)
        counts = {"voxels": list(volume.mask.shape), **measured}
        orthogonal = f"mask/{orthogonal_name(name)}"
        if orthogonal in files:
            counts["orthogonal"] = orthogonal
        self._report(path, name, files, volume, counts, grid)

    def _measured(
        self, mask: np.ndarray, grid: Grid, confidences: Sequence[Confidence]
    ) -> dict[str, Any]:
        """Return what the report says of the structures in a mask, and of its pixels."""
        record, estimates = self.model.record, {}
        if self.operating_point == record.operating_point:
            estimates = record.expected_dice
        measured = measure_structures(mask, self.labels, grid, confidences, estimates)
        spacing = {} if grid.spacing is None else {"spacing_mm": list(grid.spacing)}
        return {**spacing, "structures": {name: own.stated() for name, own in measured.items()}}

    def _written_as(self) -> str | None:
        """Name of what is written for the image; None: that of its file."""
        return self.case.entries[0].get("written_as") if self.case else None

    def _report(
        self,
        path: Path,
        name: str,
        files: list[str],
        predicted: Predicted,
        counts: dict[str, Any],
        grid: Grid,
    ) -> None:
        mask = predicted.mask
        if predicted.instances is not None:
            counts["instances"] = int(predicted.instances.max(initial=0))
        differences = self.inspected.differences
        flagged = "unlike" if differences else "like"
        located, self.located = list(dict.fromkeys(self.located)), []
        reduced = [self.reduced] if self.reduced else []
        flags = {
            "coverage": _coverage(mask > 0),
            "quality": f"{flagged} the training images",
            "differences": [*differences, *located, *reduced],
        }
        if self.results is not None and self.case is not None:
            image = InferredImage(
                self.case, name, mask, predicted.small_maps, "voxels" in counts,
                sizes_of(counts["structures"]), flags, _instances(predicted, grid),
            )  # fmt: skip
            files = [*files, *self.results.write(image, self.folder)]
        entry = {
            "image": self.case.name if self.case else path.name,
            "written_as": name,
            "files": files,
            **({} if self.case is None else series_uid_of(self.case)),
            **counts,
            "foreground": float(f"{(mask > 0).mean():.4g}"),
            "seconds": round(time.perf_counter() - self.clock, 3),
            **flags,
        }
        self.report.add(entry, self.case)
        coverage = (flags["coverage"],) if flags["coverage"] in (EMPTY, FULL) else ()
        values = {}
        if self.operating_point == self.model.record.operating_point:  # else they do not compare
            values = structure_values(counts["structures"], counts.get("pages", 1))
        unlike = ("unlike",) if differences else ()
        flags_of_image = (*coverage, *unlike, *(("unlocated",) if located else ()))
        self._record(path, entry["seconds"], flags_of_image, values)
        self.clock = time.perf_counter()

    def _record(
        self, path: Path, seconds: float, flags: Sequence[str], values: Mapping[str, float]
    ) -> None:
        """Add an image to the log and to the table of inferences, where they are wanted."""
        self.log.add(path, self.report.settings, seconds, flags)
        measured = {**self.inspected.features, **values}
        self.recorder.add(path, self.report.settings, seconds, flags, measured)

    def _check(self, images: Sequence[Any]) -> InspectedImage:
        """Check the file of an image, whose pages are its entries."""
        if self.input_check is None:
            return InspectedImage([], {})
        first = images[0]
        if isinstance(first, str):
            return self.input_check.inspect(str(first_path(first)))
        return self.input_check.inspect([str(first_path(name)) for name in first])


def _remarks(engine: Engine) -> list[str]:
    """Take what an evaluator's network says of the images since it was asked last."""
    network = getattr(engine, "network", None)
    return [] if network is None else take_remarks(network)


def _check_label_names(labels: LabelNumbers) -> None:
    """Refuse a name that is no name of a folder: each label's maps lie in one of their own."""
    for name in labels:
        if not LABEL_NAME.fullmatch(name):
            raise ValueError(
                f"labels: the name '{name}'; expected letters, digits, blanks, - and _, beginning "
                "with a letter or a digit"
            )


def _instances(predicted: Predicted, grid: Grid) -> Instances | None:
    """Return the instances with their sizes; None: they are not separated."""
    numbers = predicted.instances
    return None if numbers is None else Instances(numbers, instance_sizes(numbers, grid))


def _coverage(mask: np.ndarray) -> str:
    if not mask.any():
        return EMPTY
    return FULL if mask.all() else "partial"
