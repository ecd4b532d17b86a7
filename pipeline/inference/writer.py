"""Writing predictions in the format of the image they belong to."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.utils import convert_to_tensor

from pipeline.data.label_numbers import LabelNumbers, labels_overlap, painted_numbers
from pipeline.data.readers import count_pages, first_path, split_page
from pipeline.files import atomic
from pipeline.inference.file_voxels import SCALE
from pipeline.inference.folder import written_name, written_volume
from pipeline.inference.formats import (
    in_16_bits,
    is_sheared,
    orthogonal_name,
    save_orthogonal,
    save_pages,
    save_volume,
)
from pipeline.inference.label_masks import painted
from pipeline.inference.operating_point import OperatingPoint
from pipeline.inference.report import EMPTY, FULL, InferenceCase, InferenceReport
from pipeline.inference.trained_model import TrainedModel
from pipeline.provenance import versions

Save = Callable[[Path, np.ndarray], None]
"""Saves an array to a path."""


class WritePredictions:
    """Write a probability map and a mask of each image that an evaluator infers, and a report.

    ``folder/probability/NAME``, ``folder/mask/NAME`` and, where instances are separated,
    ``folder/instances/NAME`` lie as the image does and have its size:

    ======  ===================  =========  =========  ============================
    image   probability          mask       instances  also
    ======  ===================  =========  =========  ============================
    PNG     16 bits, 65535 is 1  0 and 255  16 bits    JPEG, BMP, DICOM become PNG
    TIFF    float32, all pages   0 and 255  16 bits
    NIfTI   float32              0 and 1    16 bits    affine and units kept
    volume  float32              0 and 1    16 bits    NIfTI, whatever it was
    ======  ===================  =========  =========  ============================

    Where the slices of a volume are sheared, as by a tilted gantry, ``folder/mask`` also holds the
    mask on an orthogonal grid, ``NAME_orthogonal.nii.gz``: ITK refuses a sheared one.

    A volume is what a network of three dimensions infers; TIFF and NIfTI hold pages for a flat one.
    A mask of several labels, or of one whose number is not 1, holds the labels' numbers, in 16 bits
    if one is above 255.

    ``folder/run_report.json`` is an :class:`pipeline.inference.report.InferenceReport`: versions,
    device, operating point, the model's hash, and for each image what was written, the seconds it
    took, and in what it differs from the training images.

    Args:
        folder: where to write.
        model: that infers.
        operating_point: how probabilities become masks; None: the model's own.
        report: what else the report says.
        labels: name of each label and its number in the mask, or the numbers of a region, of which
            the first is in the mask. Of several labels, probabilities are written to
            ``folder/probability/LABEL/NAME``, and where two are probable, the more probable one is
            in the mask; of regions that overlap, the later one.
        input_check: refuses an image, or says in what it differs from the training images.

    Raises:
        ValueError: two labels with the same number, or the same first number.
    """

    def __init__(
        self,
        folder: str,
        model: TrainedModel,
        operating_point: OperatingPoint | None = None,
        report: dict[str, Any] | None = None,
        labels: LabelNumbers | None = None,
        input_check: Callable[[Any], list[str]] | None = None,
    ) -> None:
        self.folder, self.model = Path(folder), model
        self.operating_point = operating_point or model.operating_point
        self.labels = labels or {}
        self.overlapping = labels_overlap(self.labels)
        painted_numbers(self.labels)
        self.input_check = input_check
        settings = {
            "model": str(model.path),
            "model_sha256": model.record.sha256,
            **self.operating_point.model_dump(),
            **(report or {}),
        }
        self.report = InferenceReport(self.folder, settings, {"versions": versions()})
        self.case: InferenceCase | None = None
        self.pages: list[np.ndarray] = []
        self.differences: list[str] = []
        self.clock = time.perf_counter()

    def start(self, case: InferenceCase) -> None:
        """Begin an image: check it.

        Raises:
            ValueError: it cannot be inferred.
        """
        self.case, self.pages, self.clock = case, [], time.perf_counter()
        self.differences = self._check([entry["image"] for entry in case.entries])

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator whose output is a list of items with ``image`` and ``pred``."""
        self.report.further["device"] = str(getattr(engine.state, "device", "cpu"))
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.COMPLETED, self.report.write)

    def _add(self, engine: Engine) -> None:
        for item in engine.state.output:
            name = item["image"].meta["filename_or_obj"]
            pred = convert_to_tensor(item["pred"], track_meta=False, dtype=torch.float32)
            probability, point = pred.numpy(force=True), self.operating_point.at(item[SCALE])
            if probability.ndim == 4:
                affine = item["image"].affine.numpy(force=True)
                in_mm = bool(item["image"].meta.get("in_mm", True))
                save = partial(save_volume, affine=affine, in_mm=in_mm)
                self._write_volume(Path(name), probability, point, affine, save)
            else:
                self._add_page(name, probability, point)

    def _add_page(self, name: str, probability: np.ndarray, point: OperatingPoint) -> None:
        path, page = split_page(name)
        self.pages.append(probability)
        if page is not None and page + 1 < count_pages(path):
            return
        pages, self.pages = np.stack(self.pages, axis=1), []
        outputs = [point.masks(pages[:, i], self.overlapping) for i in range(pages.shape[1])]
        arrays = self._arrays(pages, np.stack([masks for masks, _ in outputs], axis=1))
        counts = {"pages": pages.shape[1]}
        numbered = [instances for _, instances in outputs if instances is not None]
        if numbered:
            arrays["instances"] = in_16_bits(np.stack(numbered), path)
            counts["instances"] = sum(int(page.max()) for page in numbered)
        name = self._written_as() or written_name(path)
        self._write(path, name, arrays, partial(save_pages, source=path), counts)

    def _write_volume(
        self,
        path: Path,
        probability: np.ndarray,
        point: OperatingPoint,
        affine: np.ndarray,
        save: Save,
    ) -> None:
        masks, instances = point.masks(probability, self.overlapping)
        arrays = self._arrays(probability, masks)
        counts: dict[str, Any] = {"voxels": list(probability.shape[1:])}
        if instances is not None:
            arrays["instances"] = in_16_bits(instances, path)
            counts["instances"] = int(instances.max())
        name = self._written_as() or written_volume(path)
        if is_sheared(affine):
            orthogonal = Path("mask") / orthogonal_name(name)
            with atomic(self.folder / orthogonal) as temporary:
                save_orthogonal(temporary, arrays["mask"], affine)
            counts["orthogonal"] = orthogonal.as_posix()
        self._write(path, name, arrays, save, counts)

    def _arrays(self, probability: np.ndarray, masks: np.ndarray) -> dict[str, np.ndarray]:
        """What is written of the probabilities and masks of each label, ``(K, ...)``."""
        if len(probability) != max(1, len(self.labels)):
            raise ValueError(
                f"labels: found {len(self.labels)} names for {len(probability)} maps of the "
                "network; give one for each of several"
            )
        mask = masks[0] if self._is_plain() else painted(masks, self.labels)
        if len(probability) == 1:
            return {"probability": probability[0], "mask": mask}
        maps = zip(self.labels, probability, strict=True)
        return {**{f"probability/{name}": label for name, label in maps}, "mask": mask}

    def _written_as(self) -> str | None:
        """Name of what is written for the image; None: that of its file."""
        return self.case.entries[0].get("written_as") if self.case else None

    def _is_plain(self) -> bool:
        """Whether there is one label, which its format's own number of foreground means."""
        return not self.labels or painted_numbers(self.labels) == [1]

    def _write(
        self,
        path: Path,
        name: str,
        arrays: dict[str, np.ndarray],
        save: Save,
        counts: dict[str, Any],
    ) -> None:
        for kind, array in arrays.items():
            with atomic(self.folder / kind / name) as temporary:
                save(temporary, array)
        orthogonal = [counts["orthogonal"]] if "orthogonal" in counts else []
        now = time.perf_counter()
        flagged = "unlike" if self.differences else "like"
        entry = {
            "image": self.case.name if self.case else path.name,
            "written_as": name,
            "files": [*(f"{kind}/{name}" for kind in arrays), *orthogonal],
            **counts,
            "foreground": float(f"{(arrays['mask'] > 0).mean():.4g}"),
            "coverage": _coverage(arrays["mask"] > 0),
            "seconds": round(now - self.clock, 3),
            "quality": f"{flagged} the training images",
            "differences": self.differences,
        }
        self.report.add(entry, self.case)
        self.clock = time.perf_counter()

    def _check(self, images: Sequence[Any]) -> list[str]:
        """Check the file of an image, whose pages are its entries."""
        if self.input_check is None:
            return []
        first = images[0]
        if isinstance(first, str):
            return self.input_check(str(first_path(first)))
        return self.input_check(first)


def _coverage(mask: np.ndarray) -> str:
    if not mask.any():
        return EMPTY
    return FULL if mask.all() else "partial"
