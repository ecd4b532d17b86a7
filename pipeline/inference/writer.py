"""Writing predictions in the format of the image they belong to."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ignite.engine import Engine, Events

from pipeline.bundle.knobs import LABEL_NAME
from pipeline.bundle.received import containment
from pipeline.data.label_numbers import LabelNumbers, painted_numbers
from pipeline.data.readers import count_pages, first_path, split_page
from pipeline.files import atomic
from pipeline.inference.confidence import Confidence
from pipeline.inference.engine import PLAIN
from pipeline.inference.fitting import FittingInferer
from pipeline.inference.folder import written_name, written_volume
from pipeline.inference.formats import (
    UNITS,
    in_16_bits,
    in_bits,
    is_sheared,
    orthogonal_name,
    save_orthogonal,
    save_pages,
    save_volume,
)
from pipeline.inference.further_results import FurtherResults, InferredImage
from pipeline.inference.grid import Grid, in_space
from pipeline.inference.label_map import CONFIDENCES, INSTANCES, PROBABILITY
from pipeline.inference.label_masks import is_plain
from pipeline.inference.label_tables import nifti_extension
from pipeline.inference.log import InferenceLog
from pipeline.inference.operating_point import OperatingPoint
from pipeline.inference.report import EMPTY, FULL, InferenceCase, InferenceReport
from pipeline.inference.series_uid import series_uid_of
from pipeline.inference.structures import measure_structures, sizes_of
from pipeline.inference.trained_model import TrainedModel
from pipeline.provenance import versions

Save = Callable[..., None]
"""Saves an array to a path, with the probability that 1 stands for as ``unit``."""
IN_BITS = {8: "8 bits, 255 is 1", 32: "float32; PNG 16 bits, 65535 is 1"}
"""What the report says of the numbers in the probability maps."""


class _Page(NamedTuple):
    """What is written of one page of a file."""

    mask: np.ndarray
    instances: np.ndarray | None
    maps: list[np.ndarray]
    results_maps: list[np.ndarray]
    confidences: list[Confidence]


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

    Raises:
        ValueError: two labels with the same number, or the same first number; the name of one is
            no name of a folder; a folder that a received bundle may not write.
    """

    def __init__(
        self,
        folder: str,
        model: TrainedModel,
        operating_point: OperatingPoint | None = None,
        report: dict[str, Any] | None = None,
        labels: LabelNumbers | None = None,
        input_check: Callable[[Any], list[str]] | None = None,
        probabilities: int | None = None,
        results: FurtherResults | None = None,
    ) -> None:
        self.places = containment()
        self.folder, self.model = self.places.contained(folder, "--output_dir"), model
        self.operating_point = operating_point or model.operating_point
        self.labels = labels or {}
        _check_label_names(self.labels)
        painted_numbers(self.labels)
        self.extension = nifti_extension(self.labels)
        self.input_check, self.probabilities = input_check, probabilities
        self.results = results
        settings = {
            "model": str(model.path),
            "model_sha256": model.record.sha256,
            **self.operating_point.model_dump(),
            "probabilities": None if probabilities is None else IN_BITS[probabilities],
            "engine": PLAIN,
            **(report or {}),
            **(results.settings if results else {}),
        }
        if received := self.places.record():
            settings["received_archive_sha256"] = received.archive_sha256
        further = {"threshold_source": self._threshold_source(), "versions": versions()}
        self.report = InferenceReport(self.folder, settings, further)
        self.case: InferenceCase | None = None
        self.pages: list[_Page] = []
        self.differences: list[str] = []
        self.reduced = ""
        self.clock = time.perf_counter()
        self.log = InferenceLog()

    def start(self, case: InferenceCase) -> None:
        """Begin an image: check it.

        Raises:
            ValueError: it cannot be inferred.
        """
        self.case, self.pages, self.clock = case, [], time.perf_counter()
        if self.results is not None:
            self.results.check(case)
        self.differences = self._check([entry["image"] for entry in case.entries])

    def write_to(self, folder: Path) -> None:
        """Write what follows to another folder, with a report of its own.

        Raises:
            ValueError: a received bundle may not write there.
        """
        self.folder = self.places.contained(folder, "--output_dir")
        self.report = InferenceReport(self.folder, self.report.settings, self.report.further)

    def fail(self, case: InferenceCase, reason: str) -> None:
        """Name an image that could not be inferred."""
        self.report.fail(case.name, reason)
        self.log.add(case.path, self.report.settings, time.perf_counter() - self.clock, ("failed",))

    def _threshold_source(self) -> str:
        selected_by = self.operating_point.selected_by
        if selected_by is not None:
            return f"chosen by {selected_by.metric} on {selected_by.split}"
        unchosen = self.model.record.operating_point is None
        if unchosen and self.operating_point.threshold == self.model.default.threshold:
            return "none was chosen for these weights"
        return "given"

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator whose output is a list of items, as ``ToLabelMap`` leaves them."""
        self.report.further["device"] = str(getattr(engine.state, "device", "cpu"))
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.COMPLETED, self._write_report)

    def _write_report(self) -> None:
        self.report.write()

    def _add(self, engine: Engine) -> None:
        inner = getattr(getattr(engine, "inferer", None), "inferer", None)
        self.reduced = inner.reduced if isinstance(inner, FittingInferer) else ""
        for item in engine.state.output:
            if item["image"].ndim == 4:
                self._write_volume(item)
            else:
                self._add_page(item)

    def _add_page(self, item: dict[str, Any]) -> None:
        path, page = split_page(item["image"].meta["filename_or_obj"])
        maps = list(self._wanted_maps(item))
        self.pages.append(
            _Page(
                self._mask(item),
                item.get(INSTANCES),
                maps,
                self._results_maps(item),
                item[CONFIDENCES],
            )
        )
        if page is not None and page + 1 < count_pages(path):
            return
        pages, self.pages = self.pages, []
        name = self._written_as() or written_name(path)
        self._write_pages(path, name, pages, item["image"])

    def _write_pages(self, path: Path, name: str, pages: list[_Page], image: Any) -> None:
        save = partial(save_pages, source=path)
        maps = zip(*(page.maps for page in pages), strict=True)  # of each label
        files = [
            self._save_map(folder, name, np.stack(label), save)
            for folder, label in zip(self._map_folders(), maps, strict=False)
        ]
        mask = np.stack([page.mask for page in pages])
        files.append(self._save("mask", name, mask, partial(save, extension=self.extension)))
        sums = [reduce(add, own) for own in zip(*(page.confidences for page in pages), strict=True)]
        voxels, grid = in_space(mask, image, path)
        counts: dict[str, Any] = {"pages": len(pages), **self._measured(voxels, grid, sums)}
        numbered = [page.instances for page in pages if page.instances is not None]
        if numbered:
            instances = in_16_bits(np.stack(numbered), path)
            files.append(self._save("instances", name, instances, save))
            counts["instances"] = sum(int(page.max()) for page in numbered)
        results_maps = [np.stack(m) for m in zip(*(p.results_maps for p in pages), strict=True)]
        self._report(path, name, files, mask, counts, results_maps)

    def _write_volume(self, item: dict[str, Any]) -> None:
        path, image = Path(item["image"].meta["filename_or_obj"]), item["image"]
        name = self._written_as() or written_volume(path)
        affine = image.affine.numpy(force=True)
        in_mm = bool(image.meta.get("in_mm", True))
        save = partial(save_volume, affine=affine, in_mm=in_mm)
        mask, instances = self._mask(item), item.get(INSTANCES)
        maps = zip(self._map_folders(), self._wanted_maps(item), strict=False)
        files = [self._save_map(folder, name, label, save) for folder, label in maps]
        files.append(self._save("mask", name, mask, partial(save, extension=self.extension)))
        grid = Grid.of_image(image, path)
        counts: dict[str, Any] = {"voxels": list(mask.shape)}
        counts |= self._measured(mask, grid, item[CONFIDENCES])
        if instances is not None:
            numbered = in_16_bits(instances, path)
            files.append(self._save("instances", name, numbered, save))
            counts["instances"] = int(instances.max())
        if is_sheared(affine):
            save = partial(save_orthogonal, affine=affine, extension=self.extension)
            files.append(self._save("mask", orthogonal_name(name), mask, save))
            counts["orthogonal"] = files[-1]
        self._report(path, name, files, mask, counts, self._results_maps(item))

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

    def _mask(self, item: dict[str, Any]) -> np.ndarray:
        """The label map; of one label that is foreground and no more, a mask."""
        label_map: np.ndarray = item["pred"][0].numpy(force=True)
        return label_map.view(np.bool_) if is_plain(self.labels) else label_map

    def _wanted_maps(self, item: dict[str, Any]) -> Iterator[np.ndarray]:
        """Return the probabilities of each label as they are written, one after the other."""
        if self.probabilities is None:
            return iter(())
        return (in_bits(label, self.probabilities) for label in item[PROBABILITY])

    def _results_maps(self, item: dict[str, Any]) -> list[np.ndarray]:
        """Return the probabilities of each label in 8 bits, if further results take them."""
        if self.results is None or not self.results.needs_maps:
            return []
        return [in_bits(label, 8) for label in item[PROBABILITY]]

    def _map_folders(self) -> list[str]:
        """The folder of each label's probability maps."""
        if len(self.labels) < 2:
            return ["probability"]
        return [f"probability/{label}" for label in self.labels]

    def _save_map(self, folder: str, name: str, probability: np.ndarray, save: Save) -> str:
        unit = UNITS[8 if probability.dtype == np.uint8 else 32]
        return self._save(folder, name, probability, partial(save, unit=unit))

    def _save(self, folder: str, name: str, array: np.ndarray, save: Save) -> str:
        path = self.places.contained(self.folder / folder / name, name)
        with atomic(path) as temporary:
            save(temporary, array)
        return f"{folder}/{name}"

    def _written_as(self) -> str | None:
        """Name of what is written for the image; None: that of its file."""
        return self.case.entries[0].get("written_as") if self.case else None

    def _report(
        self,
        path: Path,
        name: str,
        files: list[str],
        mask: np.ndarray,
        counts: dict[str, Any],
        maps: Sequence[np.ndarray],
    ) -> None:
        flagged = "unlike" if self.differences else "like"
        flags = {
            "coverage": _coverage(mask > 0),
            "quality": f"{flagged} the training images",
            "differences": [*self.differences, *([self.reduced] if self.reduced else [])],
        }
        if self.results is not None and self.case is not None:
            sizes, is_volume = sizes_of(counts["structures"]), "voxels" in counts
            image = InferredImage(self.case, name, mask, maps, is_volume, sizes, flags)
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
        self._log(path, entry)
        self.clock = time.perf_counter()

    def _log(self, path: Path, entry: Mapping[str, Any]) -> None:
        coverage = (entry["coverage"],) if entry["coverage"] in (EMPTY, FULL) else ()
        flags = (*coverage, *(("unlike",) if self.differences else ()))
        self.log.add(path, self.report.settings, entry["seconds"], flags)

    def _check(self, images: Sequence[Any]) -> list[str]:
        """Check the file of an image, whose pages are its entries."""
        if self.input_check is None:
            return []
        first = images[0]
        if isinstance(first, str):
            return self.input_check(str(first_path(first)))
        return self.input_check([str(first_path(name)) for name in first])


def _check_label_names(labels: LabelNumbers) -> None:
    """Refuse a name that is no name of a folder: each label's maps lie in one of their own."""
    for name in labels:
        if not LABEL_NAME.fullmatch(name):
            raise ValueError(
                f"labels: the name '{name}'; expected letters, digits, blanks, - and _, beginning "
                "with a letter or a digit"
            )


def _coverage(mask: np.ndarray) -> str:
    if not mask.any():
        return EMPTY
    return FULL if mask.all() else "partial"
