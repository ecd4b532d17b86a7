"""The images of a cohort by name, preprocessed as the network takes them."""

from collections.abc import Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from monai.transforms import Compose
from monai.utils import convert_to_tensor

from pipeline.data.datalist import SPLITS, Entry, read_datalist
from pipeline.training.weight_map import WEIGHT


class Image(NamedTuple):
    """An image as a network takes it, with its label and its columns.

    Attributes:
        name: name of its file.
        split: split of the datalist that holds it.
        pixels: ``(C, *spatial)``.
        truth: ``(K, *spatial)``.
        weight: weight of each pixel in the loss; None: the config has no weight map.
        columns: columns of its datalist entry, such as patient and sex.
    """

    name: str
    split: str
    pixels: torch.Tensor
    truth: torch.Tensor
    weight: torch.Tensor | None
    columns: dict[str, Any]


class Images:
    """All images of a cohort, of every split, each loaded only when it is used.

    Args:
        dataset_dir: folder of the cohort.
        preprocessing: transforms that load image and label of a datalist entry.

    Raises:
        FileNotFoundError: no such folder, or no datalist in it.
        ValueError: a file that changed since it was hashed, or two images with the same name.
    """

    def __init__(self, dataset_dir: str, preprocessing: Compose) -> None:
        datalist = read_datalist(dataset_dir)
        self.preprocessing = preprocessing
        self.sha256 = datalist.sha256
        self.entries: dict[str, tuple[str, Entry]] = {}
        for split in SPLITS:
            for entry in datalist.entries(split) if datalist.listed(split) else ():
                name = Path(entry.image).name
                if name in self.entries:
                    raise ValueError(f"{datalist.path}: two images are named {name}; rename one")
                self.entries[name] = split, entry

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def __getitem__(self, name: str) -> Image:
        split, entry = self.entries[name]
        arrays = self.preprocessing(entry.files())
        pixels, truth = (
            convert_to_tensor(arrays[key], track_meta=False) for key in ("image", "label")
        )
        weight = convert_to_tensor(arrays[WEIGHT], track_meta=False) if WEIGHT in arrays else None
        return Image(name, split, pixels, truth, weight, entry.columns)

    def __iter__(self) -> Iterator[Image]:
        return (self[name] for name in self.entries)

    def some(self, limit: int | None) -> Self:
        """Return the same cohort with so many of its images, evenly spread; None: all."""
        fewer = copy(self)
        names = list(self.entries)
        kept = names if limit is None else evenly(names, limit)
        fewer.entries = {name: self.entries[name] for name in kept}
        return fewer

    def columns(self) -> list[dict[str, Any]]:
        """Return name, split and datalist columns of each image, in the images' order."""
        return [
            {"image": name, "split": split, **entry.columns}
            for name, (split, entry) in self.entries.items()
        ]


def evenly(names: Sequence[str], limit: int) -> list[str]:
    """Return so many of the names, evenly spread; all of them where there are no more.

    Example:
        >>> evenly("abcde", 2), evenly("ab", 9)
        (['a', 'c'], ['a', 'b'])
    """
    count = min(limit, len(names))
    return [names[i * len(names) // count] for i in range(count)]
