"""One image from a file or from memory, and what a model predicts for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, LoadImaged
from numpy.typing import ArrayLike, NDArray

from pipeline.bundle.bundle import Bundle
from pipeline.bundle.workflow import BundleWorkflow
from pipeline.data.label_numbers import LabelNumbers, labels_overlap, painted_numbers
from pipeline.data.pixels import format_maximum
from pipeline.inference.file_voxels import SCALE, FileProbabilities
from pipeline.inference.folder import find_cases
from pipeline.inference.label_map import INSTANCES, PROBABILITY
from pipeline.inference.operating_point import OperatingPoint
from pipeline.inference.structures import FOREGROUND
from pipeline.networks import take_remarks

COLOUR_CHANNELS = (3, 4)


@dataclass(frozen=True)
class Prediction:
    """What a model predicts for one image, in the pixels of its file.

    Attributes:
        masks: the mask of each label by its name, boolean, ``(*spatial)``.
        probabilities: of each label by its name, ``(*spatial)``.
        label_map: the number of each pixel's label, 0 outside, ``(*spatial)``.
        instances: the number of each pixel's instance; None: they are not separated.
        affine: from indices to millimetres where the file tells them, ``(4, 4)``.
        differences: in what the image differs from those of the training; of an array, none are
            looked for. What a network that locates first says of it, too.
    """

    masks: dict[str, NDArray[np.bool_]]
    probabilities: dict[str, NDArray[np.float32]]
    label_map: NDArray[Any]
    instances: NDArray[np.int32] | None
    affine: NDArray[np.float64]
    differences: tuple[str, ...] = ()


class Predictor:
    """The inference of a bundle, for one image at a time.

    Everything comes from the bundle's ``inference.yaml``, so that a prediction is what
    ``unet-school infer`` writes.

    Args:
        workflow: MONAI's workflow of the bundle's inference, made and not run.
    """

    def __init__(self, workflow: BundleWorkflow) -> None:
        made = workflow.parts("preprocessing", "inferer", "postprocessing", "input_check")
        self.preprocessing, self.inferer, self.postprocessing, self.check = made
        self.network, self.device = workflow.parts("network", "device")
        self.operating_point, labels = workflow.parts("operating_point", "labels")
        self.labels: LabelNumbers = labels or {FOREGROUND: 1}
        self.spatial_dims, *self.found_by = workflow.parts("spatial_dims", "series", "channels")

    def __call__(
        self, image: str | Path | ArrayLike, affine: ArrayLike | None = None
    ) -> Prediction:
        """Return the prediction for an image, see :meth:`TrainedModel.predict`."""
        if isinstance(image, (str, Path)):
            name = self._image_of(image)
            differences, item = tuple(self.check(name)), self.preprocessing({"image": name})
        else:
            tensor = array_image(image, self.spatial_dims, affine)
            differences, item = (), _without_loader(self.preprocessing)({"image": tensor})
        self.network.eval()
        take_remarks(self.network)  # of an image that failed
        with torch.inference_mode():
            output = self.inferer(item["image"][None].to(self.device), self.network)
        differences = (*differences, *take_remarks(self.network))
        return self._prediction(self.postprocessing({**item, "pred": output[0]}), differences)

    def _image_of(self, path: str | Path) -> str | list[str]:
        """What a reader opens: the path of a file, or the one case of a folder."""
        if not Path(path).is_dir():
            return str(path)
        cases = find_cases(str(path), self.spatial_dims, *self.found_by)
        if len(cases) > 1:
            raise ValueError(
                f"{path}: {len(cases)} images; predict takes one: give its file, or use "
                "unet-school infer for a folder"
            )
        image: str | list[str] = cases[0]["image"]
        return image

    def _prediction(self, item: dict[str, Any], differences: tuple[str, ...]) -> Prediction:
        maps: FileProbabilities = item[PROBABILITY]
        probabilities = dict(zip(self.labels, maps, strict=True))
        label_map = item["pred"][0].numpy(force=True)
        return Prediction(
            _masks(label_map, probabilities, self.labels, self.operating_point.at(item[SCALE])),
            probabilities,
            label_map,
            item.get(INSTANCES),
            np.asarray(item["image"].affine, np.float64),
            differences,
        )


def _masks(
    label_map: NDArray[Any],
    probabilities: dict[str, NDArray[np.float32]],
    labels: LabelNumbers,
    point: OperatingPoint,
) -> dict[str, NDArray[np.bool_]]:
    if labels_overlap(labels):  # the map holds the last of them alone
        maps = np.stack(list(probabilities.values()))
        stacked, _ = point.masks(maps, list(labels), overlapping=True)
        return dict(zip(labels, stacked, strict=True))
    numbers = painted_numbers(labels)
    return {name: label_map == number for name, number in zip(labels, numbers, strict=True)}


def array_image(image: ArrayLike, spatial_dims: int, affine: ArrayLike | None = None) -> MetaTensor:
    """Return an image from memory as a reader returns that of a file.

    Args:
        image: ``(*spatial)`` or ``(C, *spatial)``.
        spatial_dims: axes beside that of the channels.
        affine: from indices to millimetres, ``(4, 4)``; None: not known.

    Raises:
        ValueError: another number of axes, or channels that are last.

    Example:
        >>> array_image(np.zeros((4, 6), np.uint8), 2).shape
        torch.Size([1, 4, 6])
        >>> array_image(np.zeros((8, 6, 3)), 2)
        Traceback (most recent call last):
        ValueError: image: found shape (8, 6, 3), channels last; give np.moveaxis(image, -1, 0)
    """
    array = np.asarray(image)
    if array.ndim not in (spatial_dims, spatial_dims + 1):
        raise ValueError(
            f"image: found shape {array.shape}; the network takes {spatial_dims} axes, and one of "
            "channels before them"
        )
    whole = array if array.ndim > spatial_dims else array[None]
    if whole.shape[-1] in COLOUR_CHANNELS and len(whole) not in (1, 2, *COLOUR_CHANNELS):
        raise ValueError(
            f"image: found shape {array.shape}, channels last; give np.moveaxis(image, -1, 0)"
        )
    if not np.isfinite(whole).all():
        raise ValueError("image: found values that are NaN or infinite; replace them")
    maximum = format_maximum(array.dtype)
    places = np.eye(4) if affine is None else np.asarray(affine, np.float64)
    meta = {
        "affine": places,
        "original_affine": places.copy(),
        "spatial_shape": np.array(whole.shape[1:]),
        "in_mm": affine is not None,
        "maximum": np.nan if maximum is None else maximum,
    }
    return MetaTensor(torch.from_numpy(np.ascontiguousarray(whole)), affine=places, meta=meta)


def _without_loader(preprocessing: Compose) -> Compose:
    return Compose([t for t in preprocessing.transforms if not isinstance(t, LoadImaged)])


def inference_workflow(
    folder: Path | str,
    run: str | None,
    overlays: Sequence[str | Path],
    overrides: dict[str, Any],
) -> BundleWorkflow:
    """Return the workflow of a bundle's inference.

    Args:
        folder: of the bundle.
        run: a training by name or id, met with its own network and weights; None: the newest.
        overlays: that the newest was trained with.
        overrides: of the config.

    Raises:
        FileNotFoundError: no such bundle.
        ValueError: no such run, or a misspelt override.
    """
    bundle = Bundle(folder, overlays, overrides)
    if run is not None and overlays:
        raise ValueError("overlays: a run is met with its own network; leave overlays or run out")
    if run is not None:
        from pipeline.tracking.store import open_store  # MLflow, which the newest one needs not
        from pipeline.tracking.trainings import find_training

        training = find_training(open_store(bundle.tracking_dir()), run, bundle.recorded_name())
        overlaid = bundle.with_overlay(training.write_overlay())
        bundle = overlaid.with_overrides({"model": str(training.model), **overrides})
    return bundle.workflow("inferring")
