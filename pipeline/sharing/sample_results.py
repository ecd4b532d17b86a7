"""The results of a sample: their names, and the comparison of one with the expected one."""

import gzip
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from pipeline.data.readers import read_pixels
from pipeline.sharing.archive import RefusedError

IMAGE, PROBABILITY, MASK, INSTANCES = "image", "probability", "mask", "instances"
NUMBERED = (MASK, INSTANCES)
"""Results that hold a number of a label, or of an instance, at each pixel."""
TIFF, NIFTI = ".tif", ".nii.gz"
"""Formats of a sample."""
TOLERANCE = 1e-5
"""Largest accepted difference of a probability between two machines of the same kind."""
MAX_SAMPLE_BYTES = 2 * 1024**3
"""Bytes of the decoded pixels of one file of a sample."""
BLOCK_BYTES = 1024**2


class SampleAgreement(BaseModel):
    """The comparison of a result with the expected one.

    Attributes:
        difference: largest absolute difference of a probability, of any label.
        dice: smallest Dice of a number in the masks, or of an instance; 1 if all are empty.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    difference: float = Field(ge=0, allow_inf_nan=False)
    dice: float = Field(ge=0, le=1)

    @property
    def enough(self) -> bool:
        """Whether both results count as the same."""
        return self.difference <= TOLERANCE and self.dice == 1.0


def sample_image(sample: Path) -> Path:
    """Return the image of a bundle's folder ``sample``.

    Raises:
        RefusedError: there is none.
    """
    images = (sample / f"{IMAGE}{suffix}" for suffix in (TIFF, NIFTI))
    image = next(filter(Path.is_file, images), None)
    if image is None:
        raise RefusedError("sample", "no image", "unet-school pack encloses one")
    return image


def check_sample_size(path: Path) -> None:
    """Refuse a file whose pixels would take much memory, before they are decoded.

    Raises:
        FileNotFoundError: no such file.
        ValueError: they would.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path.name}: no such file")
    size = _decoded_bytes(path)
    if size > MAX_SAMPLE_BYTES:
        raise ValueError(
            f"{path.name}: {MAX_SAMPLE_BYTES / 1e9:.1f} GB of pixels or more; expected less"
        )


def _decoded_bytes(path: Path) -> int:
    """Bytes of the pixels; of a compressed volume, where they are too many, of the first ones."""
    if path.suffix != ".gz":
        with tifffile.TiffFile(path) as file:
            return sum(math.prod(one.shape) * one.dtype.itemsize for one in file.series)
    total = 0
    with gzip.open(path) as volume:
        while total <= MAX_SAMPLE_BYTES and (block := volume.read(BLOCK_BYTES)):
            total += len(block)
    return total


def result_folders(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the folder of each result that an inference writes, by its name in the sample.

    The name holds the place of a label, not the label's own name, which may have spaces.

    Args:
        config: config of the inference, with ``labels``.

    Example:
        >>> result_folders({"labels": {"left lung": 1, "right lung": 2}})["probability_2"]
        'probability/right lung'
    """
    labels = list(config.get("labels") or {})
    folders = {MASK: MASK, INSTANCES: INSTANCES}
    if len(labels) < 2:
        return {PROBABILITY: PROBABILITY, **folders}
    maps = {f"{PROBABILITY}_{i}": f"{PROBABILITY}/{label}" for i, label in enumerate(labels, 1)}
    return {**maps, **folders}


def compare_sample(expected: Path, output: Path) -> SampleAgreement:
    """Compare a result with the expected one: each label's probability, each number of the masks.

    Args:
        expected: the bundle's folder ``sample``.
        output: folder to which the inference of the sample's image wrote.

    Raises:
        RefusedError: the results differ in size, one is missing, too large, or cannot be read, or
            holds a probability that is no number.
    """
    config = yaml.safe_load((expected.parent / "configs" / "inference.yaml").read_text("utf-8"))
    image = sample_image(expected)
    suffix = image.name.removeprefix(IMAGE)
    differences, dice = [0.0], [1.0]
    for name, folder in result_folders(config).items():
        paths = expected / f"{name}{suffix}", output / folder / image.name
        if name == INSTANCES and not any(path.is_file() for path in paths):
            continue
        reference, result = _read_both(name, *paths)
        if name in NUMBERED:
            dice.append(dice_of_numbers(reference, result))
        else:
            differences.append(_difference(name, reference, result))
    return SampleAgreement(difference=max(differences), dice=min(dice))


def _difference(name: str, reference: NDArray[Any], result: NDArray[Any]) -> float:
    difference = float(np.abs(reference.astype(float) - result).max())
    if not math.isfinite(difference):
        raise RefusedError(name, f"a difference of {difference}", "expected probabilities")
    return difference


def dice_of_numbers(reference: NDArray[Any], result: NDArray[Any]) -> float:
    """Return the smallest Dice of a number above 0 in two masks; 1 if both are empty.

    Example:
        >>> dice_of_numbers(np.array([0, 1, 2]), np.array([0, 2, 1]))
        0.0
    """
    sizes = _sizes(reference), _sizes(result)
    shared = _sizes(reference[reference == result])
    numbers = sizes[0].keys() | sizes[1].keys()
    shares = (
        2 * shared.get(number, 0) / (sizes[0].get(number, 0) + sizes[1].get(number, 0))
        for number in numbers
    )
    return min(shares, default=1.0)


def _sizes(mask: NDArray[Any]) -> dict[float, int]:
    """Return the pixels of each number above 0."""
    numbers, counts = np.unique(mask[mask > 0], return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))


def _read_both(name: str, *paths: Path) -> list[NDArray[Any]]:
    try:
        for path in paths:
            check_sample_size(path)
        reference, result = (read_pixels(path, label=name in NUMBERED).array for path in paths)
    except (OSError, ValueError) as error:
        raise RefusedError(f"sample, {name}", str(error), "cannot be compared") from None
    if result.shape != reference.shape:
        raise RefusedError(name, f"{result.shape} pixels", f"expected {reference.shape}")
    return [reference, result]
