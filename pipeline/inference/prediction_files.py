"""The files of a prediction: masks, instances and probability maps, as the image lies."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from nibabel.nifti1 import Nifti1Extension
from numpy.typing import NDArray

from pipeline.bundle.codes import Colour
from pipeline.bundle.received import Containment
from pipeline.data.label_numbers import LabelNumbers
from pipeline.files import atomic
from pipeline.inference.formats import (
    UNITS,
    in_16_bits,
    is_sheared,
    orthogonal_name,
    save_orthogonal,
    save_pages,
    save_volume,
)
from pipeline.inference.label_tables import nifti_extension
from pipeline.inference.predicted import Predicted
from pipeline.inference.structures import FOREGROUND

OUTER = "outer"
"""Folder of the outer contours."""

Save = Callable[..., None]
"""Saves an array to a path, with the probability that 1 stands for as ``unit``."""


@dataclass(frozen=True)
class PredictionFiles:
    """Writes the files of an image, and returns their paths in the folder.

    Attributes:
        folder: where to write.
        places: where a received bundle may write.
        labels: name of each label and its number or numbers.
        colours: of each label, as the header of a NIfTI mask names them.
        outer: labels whose outer contours are written.
    """

    folder: Path
    places: Containment
    labels: LabelNumbers
    colours: Mapping[str, Colour]
    outer: Collection[str] = ()

    def write_pages(
        self, source: Path, name: str, pages: Sequence[Predicted], mask: NDArray[np.generic]
    ) -> list[str]:
        """Write what was predicted of the pages of a file.

        Args:
            source: the image.
            name: of what is written for it.
            pages: all of them, in their order.
            mask: those of the pages, ``(pages, H, W)``.

        Raises:
            ValueError: more instances than 16 bits can number; a place that is not allowed.
            OSError: the disk cannot be written.
        """
        save = partial(save_pages, source=source)
        maps = (np.stack(label) for label in zip(*(page.maps for page in pages), strict=True))
        files = self._save_maps(name, maps, save)
        outer = (np.stack(label) for label in zip(*(page.outer for page in pages), strict=True))
        files += self._save_outer(name, outer, save)
        files.append(self._save("mask", name, mask, partial(save, extension=self.extension)))
        numbered = [page.instances for page in pages if page.instances is not None]
        if numbered:
            instances = in_16_bits(np.stack(numbered), source)
            files.append(self._save("instances", name, instances, save))
        return files

    def write_volume(
        self, source: Path, name: str, volume: Predicted, affine: NDArray[np.floating], in_mm: bool
    ) -> list[str]:
        """Write what was predicted of a volume; where its slices are sheared, an orthogonal mask.

        Args:
            source: the image.
            name: of what is written for it.
            volume: what was predicted.
            affine: of its voxels.
            in_mm: whether its file states their size.

        Raises:
            ValueError: more instances than 16 bits can number; a place that is not allowed.
            OSError: the disk cannot be written.
        """
        save = partial(save_volume, affine=affine, in_mm=in_mm)
        files = self._save_maps(name, volume.maps, save)
        files += self._save_outer(name, volume.outer, save)
        with_names = partial(save, extension=self.extension)
        files.append(self._save("mask", name, volume.mask, with_names))
        if volume.instances is not None:
            files.append(self._save("instances", name, in_16_bits(volume.instances, source), save))
        if is_sheared(affine):
            save = partial(save_orthogonal, affine=affine, extension=self.extension)
            files.append(self._save("mask", orthogonal_name(name), volume.mask, save))
        return files

    @cached_property
    def extension(self) -> Nifti1Extension:
        """The extension of a NIfTI header that names the numbers of a mask."""
        return nifti_extension(self.labels, self.colours)

    def _save_maps(self, name: str, maps: Iterable[NDArray[np.generic]], save: Save) -> list[str]:
        several = len(self.labels) > 1
        folders = [f"probability/{label}" for label in self.labels] if several else ["probability"]
        files = []
        for folder, probability in zip(folders, maps, strict=False):  # there may be none
            unit = UNITS[8 if probability.dtype == np.uint8 else 32]
            files.append(self._save(folder, name, probability, partial(save, unit=unit)))
        return files

    def _save_outer(self, name: str, masks: Iterable[NDArray[np.bool_]], save: Save) -> list[str]:
        several = len(self.labels) > 1
        folders = [
            f"{OUTER}/{label}" if several else OUTER
            for label in self.labels or [FOREGROUND]
            if label in self.outer
        ]
        return [
            self._save(folder, name, mask, save)
            for folder, mask in zip(folders, masks, strict=False)  # none may be wanted
        ]

    def _save(self, folder: str, name: str, array: NDArray[np.generic], save: Save) -> str:
        path = self.places.contained(self.folder / folder / name, name)
        with atomic(path) as temporary:
            save(temporary, array)
        return f"{folder}/{name}"
