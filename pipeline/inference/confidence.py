"""How sure a network is of the mask of a label: sums over pixels, and what follows from them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.special import entr

MIN_ESTIMATED_CASES = 5
"""Validation cases below which nothing is said of the Dice to expect."""


@dataclass(frozen=True)
class Confidence:
    """Sums over the probabilities of a label, of one image or of several pages.

    Attributes:
        pixels: of the mask.
        within: sum of the probabilities in the mask.
        everywhere: sum of the probabilities in the whole image.
        entropy: sum of their entropies in the mask, bits.

    Example:
        >>> page = Confidence(pixels=1, within=1.0, everywhere=1.5, entropy=0.0)
        >>> (page + page).mean_probability, Confidence.of_none().mean_probability
        (1.0, None)
    """

    pixels: int
    within: float
    everywhere: float
    entropy: float

    @classmethod
    def of_none(cls) -> "Confidence":
        """Return the sums over no pixel."""
        return cls(0, 0.0, 0.0, 0.0)

    def __add__(self, other: "Confidence") -> "Confidence":
        """Return the sums over both images."""
        return Confidence(
            self.pixels + other.pixels,
            self.within + other.within,
            self.everywhere + other.everywhere,
            self.entropy + other.entropy,
        )

    @property
    def mean_probability(self) -> float | None:
        """Mean of the probabilities in the mask; None: it is empty."""
        return self.within / self.pixels if self.pixels else None

    @property
    def mean_entropy(self) -> float | None:
        """Mean of the entropies in the mask, bits: 0 is sure, 1 is as unsure as can be.

        That of a pixel is -p log2 p - (1 - p) log2 (1 - p); the mean over a structure is that of
        Roy et al. 2019 (https://doi.org/10.1016/j.neuroimage.2019.03.042). None: the mask is empty.
        """
        return self.entropy / self.pixels if self.pixels else None

    @property
    def probable_dice(self) -> float | None:
        """Dice of the mask, if the probabilities were the frequencies that they claim.

        2 x (sum in the mask) / (pixels of the mask + sum everywhere), the ratio of the expected
        values (Li et al. 2022, https://doi.org/10.1007/978-3-031-16449-1_66). None: the mask is
        empty.
        """
        return 2 * self.within / (self.pixels + self.everywhere) if self.pixels else None


def confidence(mask: NDArray[np.bool_], probability: NDArray[np.floating]) -> Confidence:
    """Return the sums over the probabilities of a label.

    Args:
        mask: ``(*spatial)``.
        probability: of the label, alike.

    Example:
        >>> confidence(np.array([True, False]), np.array([0.5, 0.25]))
        Confidence(pixels=1, within=0.5, everywhere=0.75, entropy=1.0)
    """
    values = probability[mask]
    everywhere = float(probability.sum(dtype=np.float64))
    return Confidence(
        len(values),
        float(values.sum(dtype=np.float64)),
        everywhere,
        float(entropies(values).sum(dtype=np.float64)),
    )


def entropies(probability: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the entropy of each probability, bits.

    Example:
        >>> entropies(np.array([0.0, 0.5, 1.0])).tolist()
        [0.0, 1.0, 0.0]
    """
    bits: NDArray[np.floating] = (entr(probability) + entr(1 - probability)) / np.log(2)
    return bits


class DiceEstimate(BaseModel):
    """How :attr:`Confidence.probable_dice` of a label compares with the Dice of validation cases.

    Attributes:
        bias: mean of the Dice less the probable one.
        sd: standard deviation of the differences.
        n: cases whose mask was not empty.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    bias: float
    sd: float
    n: int

    def expected_dice(self, own: Confidence) -> float | None:
        """Return the Dice to expect of a mask, in [0, 1]; None: it is empty.

        Example:
            >>> estimate = DiceEstimate(bias=-0.1, sd=0.02, n=20)
            >>> estimate.expected_dice(Confidence(pixels=8, within=8, everywhere=8, entropy=0))
            0.9
        """
        probable = own.probable_dice
        return None if probable is None else min(1.0, max(0.0, probable + self.bias))
