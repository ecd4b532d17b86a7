"""Calibration: whether 8 of 10 pixels with a probability of 0.8 are foreground."""

import numpy as np
import torch

from pipeline.metrics.checks import flat_pair

BINS = 15
"""Bins of equal width between 0 and 1."""


class Calibration:
    """Predicted probabilities against the truth, over any number of images.

    Pixels fall into :data:`BINS` bins by their probability. Bin b has n_b of the n pixels, their
    mean probability p_b and their share of foreground y_b::

        ECE   = sum_b n_b / n |p_b - y_b|           (Guo et al., ICML 2017, for the foreground)
        Brier = mean over pixels of (p - y)^2

    Example:
        >>> calibration = Calibration()
        >>> calibration.add(torch.tensor([0.8, 0.8, 0.8, 0.8, 0.8]), torch.tensor([1, 1, 1, 1, 0]))
        >>> round(calibration.ece(), 6), round(calibration.brier(), 6)
        (0.0, 0.16)
    """

    def __init__(self) -> None:
        self.pixels, self.probability, self.foreground = (np.zeros(BINS) for _ in range(3))
        self.squares = 0.0

    def add(self, probability: torch.Tensor, truth: torch.Tensor) -> None:
        """Add one image.

        Args:
            probability: values in [0, 1], of any shape.
            truth: the mask, of the same shape.

        Raises:
            ValueError: different shapes, or a value outside [0, 1] or NaN.
        """
        values, foreground = flat_pair(probability, truth)
        p, y = values.astype(np.float64), foreground.astype(np.float64)
        bins = np.minimum((p * BINS).astype(int), BINS - 1)
        self.pixels += np.bincount(bins, minlength=BINS)
        self.probability += np.bincount(bins, p, BINS)
        self.foreground += np.bincount(bins, y, BINS)
        self.squares += float(((p - y) ** 2).sum())

    def ece(self) -> float:
        """Return the expected calibration error."""
        return float(np.abs(self.probability - self.foreground).sum() / self.pixels.sum())

    def brier(self) -> float:
        """Return the mean squared error of the probabilities."""
        return self.squares / float(self.pixels.sum())

    def curve(self) -> np.ndarray:
        """Return mean probability, share of foreground and number of pixels of each filled bin."""
        some = self.pixels > 0
        n = self.pixels[some]
        return np.stack([self.probability[some] / n, self.foreground[some] / n, n])
