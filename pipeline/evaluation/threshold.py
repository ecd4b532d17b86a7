"""Choosing the threshold that turns probabilities into a mask."""

from collections.abc import Callable

import numpy as np
import torch

from pipeline.evaluation.overlap import METRICS, Counts

LEVELS = 256
"""Thresholds tried: 0/255 to 255/255, the scale of an 8-bit picture."""


class ThresholdCurve:
    """A metric against the threshold, as the mean over images.

    A pixel is foreground when its probability >= k / 255. Each image is kept as two histograms
    (foreground and background), so that any number of images costs little memory and every
    threshold is exact.

    Example:
        >>> curve = ThresholdCurve()
        >>> curve.add(torch.tensor([0.1, 0.3, 0.4, 0.9]), torch.tensor([0, 0, 1, 1]))
        >>> curve.best("accuracy")  # anywhere above 0.3 and up to 0.4 is perfect; nearest to 1/2
        0.4
    """

    def __init__(self) -> None:
        self.histograms: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, probability: torch.Tensor, truth: torch.Tensor) -> None:
        """Add one image.

        Args:
            probability: in [0, 1], any shape.
            truth: a mask of the same shape.

        Raises:
            ValueError: another shape, or a value outside [0, 1] or NaN.
        """
        if probability.shape != truth.shape:
            raise ValueError(
                f"probabilities of shape {tuple(probability.shape)}, truth of "
                f"{tuple(truth.shape)}; expected one shape"
            )
        if not bool(((probability >= 0) & (probability <= 1)).all()):
            raise ValueError("a probability outside [0, 1]; expected a sigmoid's output")
        # float64: in float32, 102/255 * 255 falls just below 102
        levels = (probability.double() * (LEVELS - 1) + 1e-6).long()
        true = truth.bool()
        self.histograms.append((_histogram(levels[true]), _histogram(levels[~true])))

    def values(self, metric: str) -> np.ndarray:
        """Return the metric at each threshold ``k / 255``, the mean over images, ``(256,)``."""
        compute = METRICS[metric]
        return np.mean([_curve(*pair, compute) for pair in self.histograms], axis=0)

    def best(self, metric: str) -> float:
        """Return the threshold of the best value; of equal ones the nearest to 1/2.

        Raises:
            ValueError: no image was added.
        """
        if not self.histograms:
            raise ValueError("no image to choose a threshold on; the validation split is empty")
        values = self.values(metric)
        ties = np.flatnonzero(values == values.max()) / (LEVELS - 1)
        return float(ties[np.argmin(np.abs(ties - 0.5))])


def _histogram(levels: torch.Tensor) -> np.ndarray:
    return torch.bincount(levels.flatten(), minlength=LEVELS).numpy(force=True)


def _curve(
    foreground: np.ndarray, background: np.ndarray, metric: Callable[[Counts], float]
) -> list[float]:
    # pixels at or above level k: what lies below it is cut off
    tp = foreground.sum() - np.cumsum(foreground) + foreground
    fp = background.sum() - np.cumsum(background) + background
    fn, tn = foreground.sum() - tp, background.sum() - fp
    return [metric(Counts(*map(int, row))) for row in zip(tp, fp, fn, tn, strict=True)]
