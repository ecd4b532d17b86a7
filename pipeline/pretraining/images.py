"""The images that a pretraining learns from: they pass the checks of inference, none is of test."""

from collections.abc import Mapping, Sequence
from typing import Any

from monai.transforms import Compose, Transform

from pipeline.bundle.received import contained
from pipeline.data.datalist import image_hashes, read_datalist
from pipeline.data.pixel_hashes import values_sha256
from pipeline.errors import few, reason_line
from pipeline.inference.folder import find_cases
from pipeline.inference.input_check import InputCheck, read_image
from pipeline.progress import count, track

HELD_BACK = ("test", "validation")
"""Splits whose images are never learnt from."""


def images_of(dataset_dir: str, split: str) -> list[dict[str, str]]:
    """Return the images of a split, without their labels.

    Raises:
        FileNotFoundError: no such cohort, or an image is missing.
        ValueError: an empty split, or an image that changed since it was hashed.
    """
    return [{"image": entry.image} for entry in read_datalist(dataset_dir).entries(split)]


class UnlabelledImages:
    """The training images of a cohort without their labels, and those of a folder.

    An image of the folder that is one of the test or the validation split is left out, whatever its
    name and format: the hash of its values says so. One that stands there twice is taken once.

    Args:
        dataset_dir: the cohort.
        folder: of further images; None: those of the cohort alone.
        preprocessing: of an image, as in inference.
        spatial_dims: dimensions of the network.
        in_channels: channels of its input.
        model: of the bundle; where it was trained, its description of the training images names
            the modality. None is needed.
        series: which DICOM series, as ``Modality=MR,SeriesDescription~T1``; None: all.
        channels: ending of the name of each of a case's images; None: a case is one file.

    Attributes:
        cases: ``image``, its path or those of its channels, of each.
        names: the name of each image by the hash of its values.
        further: how many cases are none of the cohort's.

    Raises:
        FileNotFoundError: no such cohort or folder, or no image in it.
        ValueError: images that do not fit the bundle, each of which is printed with its reason.
    """

    def __init__(
        self,
        dataset_dir: str,
        folder: str | None,
        preprocessing: Sequence[Transform],
        spatial_dims: int,
        in_channels: int,
        model: str,
        series: str | None = None,
        channels: Mapping[str, str] | None = None,
    ) -> None:
        self.names = image_hashes(dataset_dir, "training")
        self.cases: list[dict[str, Any]] = list(images_of(dataset_dir, "training"))
        self.further = 0
        if folder is None:
            return
        self.preprocessing, self.in_channels = Compose(list(preprocessing)), in_channels
        self.spatial_dims = spatial_dims
        self.check = InputCheck(model=model, spatial_dims=spatial_dims, in_channels=in_channels)
        if not contained(folder, "--images").is_dir():
            raise FileNotFoundError(f"--images {folder}: no such folder; give a folder of images")
        listed = find_cases(folder, spatial_dims, series, dict(channels) if channels else None)
        hashed = self._fitting(folder, listed)
        self._add(folder, hashed, {split: image_hashes(dataset_dir, split) for split in HELD_BACK})

    @property
    def hashes(self) -> list[str]:
        """Hashes of the values of the images."""
        return list(self.names)

    def _fitting(
        self, folder: str, listed: Sequence[Mapping[str, Any]]
    ) -> list[tuple[str, str, str | list[str]]]:
        """Return hash, name and image of each case; refuse the folder if one does not fit."""
        hashed, refused = [], 0
        for case in track(listed, "checking", len(listed), "image"):
            try:
                hashed.append((self._hash(case["image"]), case["name"], case["image"]))
            except (ValueError, FileNotFoundError) as error:
                print(reason_line(error), flush=True)
                refused += 1
        if refused:
            raise ValueError(
                f"--images {folder}: {refused} of {count(len(listed), 'image')} do not fit the "
                "bundle, as said above; mend them, or move them away"
            )
        return hashed

    def _hash(self, image: str | list[str]) -> str:
        """Return the hash of an image's values, once it has passed all that inference does."""
        self.check.inspect(image)
        channels = len(self.preprocessing({"image": image})["image"])
        if channels != self.in_channels:
            name = image if isinstance(image, str) else image[0]
            raise ValueError(f"{name}: {channels} channels; the network takes {self.in_channels}")
        pixels, _ = read_image(image, self.spatial_dims)
        return values_sha256(pixels.array)

    def _add(
        self,
        folder: str,
        hashed: Sequence[tuple[str, str, str | list[str]]],
        held_back: Mapping[str, Mapping[str, str]],
    ) -> None:
        left_out: dict[str, list[str]] = {split: [] for split in held_back}
        for digest, name, image in hashed:
            of = [split for split, hashes in held_back.items() if digest in hashes]
            for split in of:
                left_out[split].append(name)
            if not of and digest not in self.names:
                self.names[digest] = name
                self.cases.append({"image": image})
                self.further += 1
        for split, names in left_out.items():
            if names:
                print(f"left out: {count(len(names), 'image')} of the {split} split: {few(names)}")
        of_cohort = count(len(self.cases) - self.further, "training image")
        print(
            f"learning from {of_cohort} and {self.further} of the "
            f"{count(len(hashed), 'image')} of {folder}",
            flush=True,
        )
