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
from pipeline.inference.folder import written_name
from pipeline.provenance import versions


class WritePredictions:
    """Write a probability map and a mask for each image that an evaluator infers, and a report.

    ``folder/probability/NAME`` and ``folder/mask/NAME`` lie as the image does and have its size:

    ==========  =============================  ==========  =======================
    image       probability                    mask        also
    ==========  =============================  ==========  =======================
    PNG         16 bits, 65535 is 1            0 and 255   JPEG and BMP become PNG
    TIFF        float32, all pages             0 and 255
    NIfTI       float32                        0 and 1     affine and units kept
    ==========  =============================  ==========  =======================

    ``folder/run_report.json`` holds versions, device, threshold, the model's hash and the seconds
    each image took.

    Args:
        folder: where to write.
        threshold: at and above which a probability is foreground.
        model: the weights, whose hash is reported.
        report: what else the report says.
    """

    def __init__(
        self, folder: str, threshold: float, model: str, report: dict[str, Any] | None = None
    ) -> None:
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold {threshold}: expected a probability from 0 to 1")
        self.folder, self.threshold = Path(folder), threshold
        self.model, self.report = Path(model), report or {}
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
        for kind, array in (("probability", probability), ("mask", mask)):
            with atomic(self.folder / kind / name) as temporary:
                _save(temporary, array, path)
        now = time.perf_counter()
        self.written.append(
            {
                "image": path.name,
                "written_as": name,
                "pages": len(probability),
                "foreground": round(float(mask.mean()), 4),
                "seconds": round(now - self.clock, 3),
            }
        )
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


def _save(path: Path, pages: np.ndarray, source: Path) -> None:
    """Save the pages of one file, a mask when they are boolean, in the manner of ``source``."""
    is_mask = pages.dtype == bool
    if suffix_of(source) in NIFTI:
        _save_nifti(path, pages, source)
    elif suffix_of(source) in TIFF:
        array = pages * np.uint8(255) if is_mask else pages
        tifffile.imwrite(path, array if len(array) > 1 else array[0], photometric="minisblack")
    elif is_mask:
        Image.fromarray(pages[0] * np.uint8(255)).save(path)
    else:
        Image.fromarray((pages[0] * 65535 + 0.5).astype(np.uint16)).save(path)


def _save_nifti(path: Path, pages: np.ndarray, source: Path) -> None:
    like = nib.load(source)
    volume = np.moveaxis(pages, 0, 2).reshape(like.shape)
    dtype = np.uint8 if pages.dtype == bool else np.float32
    header = like.header.copy()
    header.set_data_dtype(dtype)
    nib.save(nib.Nifti1Image(volume.astype(dtype), like.affine, header), path)
