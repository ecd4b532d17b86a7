"""How uncertain a model is of an image, by which the next one to be labelled is chosen."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pipeline.files import write_json
from pipeline.inference.eight_bits import WHITE
from pipeline.schemas import read_schema

MIN_PROBABILITY = 0.05
"""Below it a pixel is background, and not counted."""


class ScoredImage(BaseModel):
    """The uncertainty of an image.

    Attributes:
        model_sha256: hash of the weights that were asked.
        value: see :func:`mean_entropy`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    model_sha256: str
    value: float


class Scores(BaseModel):
    """The content of ``uncertainty.json``: the scored images by their ids."""

    images: dict[str, ScoredImage] = {}


class UncertaintyTable:
    """The uncertainty of each image that was segmented, kept on the disk.

    Args:
        path: of the file.
        model_sha256: hash of the weights that are served; scores of others do not count.
    """

    def __init__(self, path: Path, model_sha256: str) -> None:
        self.path, self.model_sha256 = path, model_sha256
        read = read_schema(path, Scores, f"remove {path}") if path.is_file() else Scores()
        self._scores = dict(read.images)

    def get(self, image: str) -> float | None:
        """Return the uncertainty of an image; None: it was not segmented by these weights."""
        score = self._scores.get(image)
        return score.value if score and score.model_sha256 == self.model_sha256 else None

    def set(self, image: str, value: float) -> None:
        """Keep the uncertainty of an image."""
        scored = ScoredImage(model_sha256=self.model_sha256, value=value)
        self._scores = {**self._scores, image: scored}
        write_json(self.path, Scores(images=self._scores).model_dump())


def mean_entropy(maps: Sequence[NDArray[np.uint8]]) -> float:
    r"""Return the mean entropy of an image's probabilities, in bits, from 0 to 1.

    :math:`H = \frac{1}{|R|} \sum_{x \in R} -p \log_2 p - (1 - p) \log_2 (1 - p)`, over the pixels
    :math:`R` of any label whose probability :math:`p` is 0.05 or more: large images and large
    structures do not count more. It is uncertainty sampling by entropy (Settles, Active Learning
    Literature Survey, 2009, section 3.1), pixel by pixel.

    Args:
        maps: probabilities of each label in 8 bits, 255 is 1.

    Returns:
        0 where no pixel may belong to a label.

    Example:
        >>> sure = np.array([0, 255], np.uint8)
        >>> unsure = np.array([0, 128], np.uint8)
        >>> mean_entropy([sure]), round(mean_entropy([unsure]), 3)
        (0.0, 1.0)
    """
    counts = sum(np.bincount(one.ravel(), minlength=WHITE + 1) for one in maps)
    levels = np.arange(WHITE + 1) / WHITE
    inner = np.clip(levels, 1e-12, 1 - 1e-12)
    entropy = -inner * np.log2(inner) - (1 - inner) * np.log2(1 - inner)
    entropy[[0, -1]] = 0.0
    counted = np.where(levels >= MIN_PROBABILITY, counts, 0)
    total = counted.sum()
    return float((entropy * counted).sum() / total) if total else 0.0
