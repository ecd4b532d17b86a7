"""Running a network over a split of a cohort, and keeping what it says of each image."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader
from monai.engines import Evaluator, SupervisedEvaluator
from monai.inferers import Inferer
from monai.transforms import Compose
from monai.utils import convert_to_tensor
from numpy.typing import NDArray

from pipeline.data.cache import BoundedCache
from pipeline.data.datalist import columns_of, load_split
from pipeline.evaluation.cases import Case
from pipeline.evaluation.compact_cases import CompactCases
from pipeline.evaluation.window_recorder import WindowRecorder
from pipeline.inference.dihedral import DihedralInferer
from pipeline.inference.file_voxels import SCALE, FileProbabilities
from pipeline.progress import Work
from transforms.match_image import match_grid
from transforms.whole_numbers import whole_numbers

INSTANCES = "instances"
"""The key under which an entry holds the numbers of its true instances, where they have any."""


class SplitPredictions:
    """A network's predictions for the splits of a cohort.

    Args:
        network: with its weights.
        inferer: how one version of an image passes the network.
        preprocessing: of an entry: loads the image as the network takes it, and the label in the
            pixels of its file.
        postprocessing: of what the network returns: probabilities in the pixels of the image's
            file, by :func:`pipeline.inference.to_file_voxels`.
        dataset_dir: of the cohort.
        device: where the network is.

    Attributes:
        inferer: averages over ``inferer.versions`` symmetries, which can be set.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        inferer: Inferer,
        preprocessing: Compose,
        postprocessing: Compose,
        dataset_dir: str,
        device: torch.device | str,
    ) -> None:
        self.network, self.inferer = network, DihedralInferer(inferer, versions=1)
        self.preprocessing, self.postprocessing = preprocessing, postprocessing
        self.dataset_dir, self.device = dataset_dir, device
        self._engines: dict[str, Evaluator] = {}
        self._data: dict[str, BoundedCache] = {}

    def cases(self, split: str) -> CompactCases:
        """Predict a split, and return one case for each image.

        Raises:
            ValueError: no image has any foreground; every score would be of empty masks.
        """
        return collect_cases(self.engine(split), columns_of(self.dataset_dir, split), split)

    def engine(self, split: str) -> Evaluator:
        """Return MONAI's evaluator of a split, the same at every call."""
        if split not in self._engines:
            self._engines[split] = self._engine(self.data(split))
        return self._engines[split]

    def data(self, split: str) -> BoundedCache:
        """Return the images and labels of a split as the network takes them, kept in memory."""
        if split not in self._data:
            # the test split is predicted once: nothing to keep
            rate = 0.0 if split == "test" else 1.0
            self._data[split] = self._cache(load_split(self.dataset_dir, split), rate, split)
        return self._data[split]

    def computed_by(self, network: torch.nn.Module) -> "SplitPredictions":
        """Return the predictions of the same splits by another engine of the network.

        Both share the images in memory.
        """
        other = copy.copy(self)
        other.network, other.inferer, other._engines = network, copy.copy(self.inferer), {}
        return other

    def windows(self, split: str, images: int) -> list[torch.Tensor]:
        """Return windows of some images of a split, as they pass the network.

        Args:
            split: of the cohort.
            images: how many, evenly over the split; all of a smaller one.
        """
        entries = load_split(self.dataset_dir, split)
        some = entries[:: max(1, len(entries) // images)][:images]
        recorder = WindowRecorder(self.network)
        self.computed_by(recorder)._engine(self._cache(some, 0.0, split)).run()
        return recorder.windows

    def case(self, split: str, place: int) -> Case:
        """Predict one image of a split.

        Args:
            split: of the cohort.
            place: of the image in the split, from 0.
        """
        entry = load_split(self.dataset_dir, split)[place]
        return _collect(self._engine(self._cache([entry], 0.0, split)), {}, split)[0]

    def _cache(
        self, entries: Sequence[Mapping[str, Any]], cache_rate: float, split: str
    ) -> BoundedCache:
        return BoundedCache(entries, self.preprocessing, cache_rate=cache_rate, name=split)

    def _engine(self, data: BoundedCache) -> Evaluator:
        return SupervisedEvaluator(
            device=torch.device(self.device),
            val_data_loader=DataLoader(data, batch_size=1, num_workers=0),
            network=self.network,
            inferer=self.inferer,
            postprocessing=self.postprocessing,
        )


def collect_cases(
    evaluator: Evaluator,
    columns: Mapping[str, Mapping[str, Any]] | None = None,
    split: str = "",
) -> CompactCases:
    """Run an evaluator over its data and return one case for each image.

    Args:
        evaluator: its output holds image, probability, scale and label.
        columns: further columns of each case, by the path of its image.
        split: name of the split, for the progress.

    Raises:
        ValueError: no image has any foreground; every score would be of empty masks.
    """
    cases = _collect(evaluator, columns or {}, split)
    if not any(bool((case.truth > 0).any()) for case in cases):
        raise ValueError(
            f"{cases[0].name} and {len(cases) - 1} more: no foreground in any mask, so there is "
            "nothing to score; are these the right masks?"
        )
    return cases


def _collect(
    evaluator: Evaluator, columns: Mapping[str, Mapping[str, Any]], split: str
) -> CompactCases:
    cases = CompactCases()

    def add(engine: Engine) -> None:
        for output, entry in zip(engine.state.output, engine.state.batch, strict=True):
            case = _case(output, entry)
            cases.append(case._replace(columns=columns.get(case.path, {})))
            work.advance()

    name = f"predicting {split}".strip()
    with (
        Work(name, len(evaluator.data_loader), "case") as work,
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, add),
    ):
        evaluator.run()
    return cases


def _case(output: dict[str, Any], entry: dict[str, Any]) -> Case:
    path = output["image"].meta["filename_or_obj"]
    in_file = output["image"]
    truth = _plain(match_grid(output["label"], in_file))
    instances = entry.get(INSTANCES)  # a path still, where the config does not load them
    if isinstance(instances, torch.Tensor):
        numbers = _plain(match_grid(instances, in_file, numbers=True))[0]
        instances = whole_numbers(numbers).long()
    else:
        instances = None
    maps: FileProbabilities = output["pred"]
    probability, further = (part.stacked() for part in maps.split(len(truth)))
    return Case(
        Path(path).name, _plain(in_file)[0], torch.from_numpy(probability), truth, instances,
        _spacing(in_file), path, output[SCALE], affine=_affine(in_file),
        further=None if further is None else torch.from_numpy(further),
    )  # fmt: skip


def _spacing(image: Any) -> tuple[float, ...] | None:
    """Return the size of a pixel, mm; None: a flat image whose file tells none."""
    if image.ndim == 3 and not image.meta.get("in_mm", False):
        return None
    return tuple(float(size) for size in image.pixdim.tolist()[: image.ndim - 1])


def _affine(image: Any) -> NDArray[np.float64] | None:
    """Return where the voxels of a volume lie; None of a flat image."""
    return np.asarray(image.affine, np.float64) if image.ndim == 4 else None


def _plain(image: Any) -> torch.Tensor:
    """On the CPU and without meta data."""
    plain: torch.Tensor = convert_to_tensor(image, track_meta=False).cpu()
    return plain
