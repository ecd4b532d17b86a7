"""Writing predictions in the format of the image they belong to."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from monai.utils import convert_to_tensor

from pipeline.files import atomic, sha256, write_json
from pipeline.data.readers import count_pages, split_page
from pipeline.inference.label_masks import masks_and_instances
from pipeline.inference.watershed_instances import WatershedInstances
from pipeline.inference.folder import written_name, written_volume
from pipeline.inference.formats import in_16_bits, save_pages, save_volume
from pipeline.inference.postprocessing import Postprocessing
from pipeline.provenance import versions


class WritePredictions:
    """Write a probability map and a mask of each image that an evaluator infers, and a report.

    ``folder/probability/NAME``, ``folder/mask/NAME`` and, where cells are to be told apart,
    ``folder/cells/NAME`` lie as the image does and have its size:

    ======  ===================  =========  =======  ============================
    image   probability          mask       cells    also
    ======  ===================  =========  =======  ============================
    PNG     16 bits, 65535 is 1  0 and 255  16 bits  JPEG, BMP, DICOM become PNG
    TIFF    float32, all pages   0 and 255  16 bits
    NIfTI   float32              0 and 1    16 bits  affine and units kept
    volume  float32              0 and 1    16 bits  NIfTI, whatever it was
    ======  ===================  =========  =======  ============================

    A volume is what a network of three dimensions infers; TIFF and NIfTI hold pages for a flat one.

    ``folder/run_report.json`` holds versions, device, threshold, the model's hash and the seconds
    each image took.

    Args:
        folder: where to write.
        threshold: at and above which a probability is foreground.
        model: the weights, whose hash is reported.
        report: what else the report says.
        find_instances: tells the cells of each page apart, which are then written too.
        labels: of a network of several labels, the name of each and its number in the mask; its
            probabilities are then written to ``folder/probability/LABEL/NAME``. Where two labels
            are probable, the more probable one is in the mask.
        postprocessing: makes the mask of a label from its probabilities; by default the threshold alone.
        input_check: says in what an image differs from the training's; the report then flags it.
    """

    def __init__(
        self,
        folder: str,
        threshold: float,
        model: str,
        report: dict[str, Any] | None = None,
        find_instances: WatershedInstances | None = None,
        labels: Mapping[str, int] | None = None,
        postprocessing: Postprocessing | None = None,
        input_check: Callable[[Path], list[str]] | None = None,
    ) -> None:
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold {threshold}: expected a probability from 0 to 1")
        self.folder, self.threshold = Path(folder), threshold
        self.model, self.report = Path(model), report or {}
        self.find_instances, self.labels = find_instances, labels or {}
        self.postprocessing = postprocessing or Postprocessing()
        self.input_check = input_check
        self.pages: list[np.ndarray] = []
        self.written: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator whose output is a list of items with ``image`` and ``pred``."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.COMPLETED, self._finish)

    def _start(self) -> None:
        self.clock = time.perf_counter()

    def _add(self, engine: Engine) -> None:
        for item in engine.state.output:
            name = item["image"].meta["filename_or_obj"]
            logits = convert_to_tensor(item["pred"], track_meta=False, dtype=torch.float32)
            probability = logits.sigmoid().numpy(force=True)
            if probability.ndim == 4:
                placed = item["pred"] if isinstance(item["pred"], MetaTensor) else item["image"]
                self._write_volume(Path(name), probability, placed.affine.numpy(force=True))
            else:
                self._add_page(name, probability)

    def _add_page(self, name: str, probability: np.ndarray) -> None:
        path, page = split_page(name)
        self.pages.append(probability)
        if page is not None and page + 1 < count_pages(path):
            return
        pages, self.pages = np.stack(self.pages, axis=1), []
        found = [self._masks_and_cells(pages[:, i]) for i in range(pages.shape[1])]
        arrays = self._arrays(pages, np.stack([masks for masks, _ in found], axis=1))
        told = {"pages": pages.shape[1]}
        numbered = [cells for _, cells in found if cells is not None]
        if numbered:
            arrays["cells"] = in_16_bits(np.stack(numbered), path)
            told["cells"] = sum(int(page.max()) for page in numbered)
        self._write(path, written_name(path), arrays, partial(save_pages, source=path), told)

    def _write_volume(self, path: Path, probability: np.ndarray, affine: np.ndarray) -> None:
        masks, cells = self._masks_and_cells(probability)
        arrays = self._arrays(probability, masks)
        told: dict[str, Any] = {"voxels": list(probability.shape[1:])}
        if cells is not None:
            arrays["cells"] = in_16_bits(cells, path)
            told["cells"] = int(cells.max())
        save = partial(save_volume, affine=affine)
        self._write(path, written_volume(path), arrays, save, told)

    def _masks_and_cells(self, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """The mask of each label of one page or volume, ``(K, *spatial)``, and its cells."""
        return masks_and_instances(probability, self.threshold, self.postprocessing, self.find_instances)

    def _arrays(self, probability: np.ndarray, masks: np.ndarray) -> dict[str, np.ndarray]:
        """What is written of the probabilities and masks of each label, ``(K, ...)``."""
        if len(probability) != max(1, len(self.labels)):
            raise ValueError(
                f"labels: found {len(self.labels)} names for {len(probability)} maps of the "
                "network; give one for each of several"
            )
        if not self.labels:
            return {"probability": probability[0], "mask": masks[0]}
        numbers = np.array(list(self.labels.values()), np.uint8)
        mask = np.where(masks.any(axis=0), numbers[masks.argmax(0)], np.uint8(0))
        maps = zip(self.labels, probability, strict=True)
        return {**{f"probability/{name}": each for name, each in maps}, "mask": mask}

    def _write(
        self,
        path: Path,
        name: str,
        arrays: dict[str, np.ndarray],
        save: Callable[[Path, np.ndarray], None],
        told: dict[str, Any],
    ) -> None:
        for kind, array in arrays.items():
            with atomic(self.folder / kind / name) as temporary:
                save(temporary, array)
        now = time.perf_counter()
        self.written.append(
            {
                "image": path.name,
                "written_as": name,
                **told,
                "foreground": round(float((arrays["mask"] > 0).mean()), 4),
                "seconds": round(now - self.clock, 3),
                **self._quality(path),
            }
        )
        self.clock = time.perf_counter()

    def _quality(self, path: Path) -> dict[str, Any]:
        if self.input_check is None:
            return {}
        differences = self.input_check(path)
        return {
            "quality": "unlike the training images" if differences else "as the training images",
            "differences": differences,
        }

    def _finish(self, engine: Engine) -> None:
        seconds = sum(image["seconds"] for image in self.written)
        write_json(
            self.folder / "run_report.json",
            {
                "model": str(self.model),
                "model_sha256": sha256(self.model),
                "threshold": self.threshold,
                "cleaning": self.postprocessing.settings(),
                **({"cells": self.find_instances.settings()} if self.find_instances else {}),
                **self.report,
                "device": str(engine.state.device),
                "versions": versions(),
                "images": len(self.written),
                "seconds_per_image": round(seconds / len(self.written), 3),
                "per_image": self.written,
            },
        )
        print(
            f"{len(self.written)} images, {seconds / len(self.written):.2f} s each, at threshold "
            f"{self.threshold:.3f}: {self.folder}/mask, /probability, /run_report.json"
        )
        for image in self.written:
            for difference in image.get("differences", ()):
                print(f"quality     {image['image']}: {difference}")
