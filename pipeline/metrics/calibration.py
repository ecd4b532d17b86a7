"""Whether a probability of 0.8 is right in 8 of 10 pixels."""

import numpy as np
import torch

from pipeline.metrics.checks import flat_pair

BINS = 15


class Calibration:
    """Predicted probabilities against what was there, over any number of images.

    Pixels are put into :data:`BINS` bins of equal width by their probability; with n_b pixels in
    bin b, their mean probability p_b and share of foreground y_b::

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
            probability: in [0, 1], any shape.
            truth: a mask of the same shape.

        Raises:
            ValueError: another shape, or a value outside [0, 1] or NaN.
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
        """Return mean probability, share of foreground and pixels of each bin that has any."""
        some = self.pixels > 0
        n = self.pixels[some]
        return np.stack([self.probability[some] / n, self.foreground[some] / n, n])
