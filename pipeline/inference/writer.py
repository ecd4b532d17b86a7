"""Writing predictions in the format of the image they belong to."""

import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import tifffile
import torch
from ignite.engine import Engine, Events
from monai.utils import convert_to_tensor
from PIL import Image

from pipeline.data.files import atomic, sha256, write_json
from pipeline.data.readers import NIFTI, TIFF, count_pages, split_page, suffix_of
from pipeline.inference.cells import CellFinder
from pipeline.inference.folder import written_name
from pipeline.provenance import versions


class WritePredictions:
    """Write a probability map and a mask of each image that an evaluator infers, and a report.

    ``folder/probability/NAME``, ``folder/mask/NAME`` and, where cells are to be told apart,
    ``folder/cells/NAME`` lie as the image does and have its size:

    =====  ===================  =========  ============  =======================
    image  probability          mask       cells         also
    =====  ===================  =========  ============  =======================
    PNG    16 bits, 65535 is 1  0 and 255  16 bits       JPEG and BMP become PNG
    TIFF   float32, all pages   0 and 255  16 bits
    NIfTI  float32              0 and 1    16 bits       affine and units kept
    =====  ===================  =========  ============  =======================

    ``folder/run_report.json`` holds versions, device, threshold, the model's hash and the seconds
    each image took.

    Args:
        folder: where to write.
        threshold: at and above which a probability is foreground.
        model: the weights, whose hash is reported.
        report: what else the report says.
        find_cells: tells the cells of each page apart, which are then written too.
    """

    def __init__(
        self,
        folder: str,
        threshold: float,
        model: str,
        report: dict[str, Any] | None = None,
        find_cells: CellFinder | None = None,
    ) -> None:
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold {threshold}: expected a probability from 0 to 1")
        self.folder, self.threshold = Path(folder), threshold
        self.model, self.report = Path(model), report or {}
        self.find_cells = find_cells
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
            path, page = split_page(item["image"].meta["filename_or_obj"])
            logits = convert_to_tensor(item["pred"], track_meta=False, dtype=torch.float32)
            self.pages.append(logits[0].sigmoid().numpy(force=True))
            if page is None or page + 1 == count_pages(path):
                self._write(path, np.stack(self.pages))
                self.pages = []

    def _write(self, path: Path, probability: np.ndarray) -> None:
        name = written_name(path)
        mask = probability >= self.threshold
        arrays = {"probability": probability, "mask": mask}
        if self.find_cells is not None:
            pages = [self.find_cells(page, self.threshold) for page in probability]
            arrays["cells"] = _in_16_bits(np.stack(pages), path)
        for kind, array in arrays.items():
            with atomic(self.folder / kind / name) as temporary:
                _save(temporary, array, path)
        now = time.perf_counter()
        told = {
            "image": path.name,
            "written_as": name,
            "pages": len(probability),
            "foreground": round(float(mask.mean()), 4),
            "seconds": round(now - self.clock, 3),
        }
        if "cells" in arrays:
            told["cells"] = int(arrays["cells"].max(axis=(1, 2)).sum())
        self.written.append(told)
        self.clock = now

    def _finish(self, engine: Engine) -> None:
        seconds = sum(image["seconds"] for image in self.written)
        write_json(
            self.folder / "run_report.json",
            {
                "model": str(self.model),
                "model_sha256": sha256(self.model),
                "threshold": self.threshold,
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


def _in_16_bits(pages: np.ndarray, source: Path) -> np.ndarray:
    most = np.iinfo(np.uint16).max
    if pages.max(initial=0) > most:
        raise ValueError(f"{source}: more than {most} cells on a page, which 16 bits cannot number")
    return pages.astype(np.uint16)


def _save(path: Path, pages: np.ndarray, source: Path) -> None:
    """Save the pages of one file in the manner of ``source``.

    Boolean pages are a mask, whole numbers are cells, fractions are probabilities.
    """
    if suffix_of(source) in NIFTI:
        _save_nifti(path, pages, source)
        return
    if pages.dtype == bool:
        pages = pages * np.uint8(255)
    if suffix_of(source) in TIFF:
        tifffile.imwrite(path, pages if len(pages) > 1 else pages[0], photometric="minisblack")
        return
    if np.issubdtype(pages.dtype, np.floating):
        pages = (pages * 65535 + 0.5).astype(np.uint16)
    Image.fromarray(pages[0]).save(path)


def _save_nifti(path: Path, pages: np.ndarray, source: Path) -> None:
    like = nib.load(source)
    volume = np.moveaxis(pages, 0, 2).reshape(like.shape)
    dtype = np.uint8 if pages.dtype == bool else pages.dtype
    header = like.header.copy()
    header.set_data_dtype(dtype)
    nib.save(nib.Nifti1Image(volume.astype(dtype), like.affine, header), path)
