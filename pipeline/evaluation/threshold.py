"""Choosing the threshold that turns probabilities into a mask."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.inference.label_masks import InstanceFunction
from pipeline.metrics.checks import flat_pair
from pipeline.metrics.overlap import METRICS, Counts
from pipeline.metrics.segments import SegmentScores, instance_metrics

LEVELS = 256
"""Thresholds tried: 0/255 to 255/255, the scale of an 8-bit picture."""


class Curve(ABC):
    """A metric against the threshold, as the mean over images.

    Attributes:
        thresholds: those that are tried, in rising order.
    """

    thresholds: np.ndarray

    @abstractmethod
    def values(self, metric: str) -> np.ndarray:
        """Return the metric at each threshold, the mean over images."""

    def best(self, metric: str) -> float:
        """Return the threshold of the best value; of equal ones the nearest to 1/2.

        Raises:
            ValueError: no image was added.
        """
        values = self.values(metric)
        if not len(values):
            raise ValueError("no image to choose a threshold on; the validation split is empty")
        ties = self.thresholds[values == values.max()]
        return float(ties[np.argmin(np.abs(ties - 0.5))])


class ThresholdCurve(Curve):
    """A metric of pixels: ``iou``, ``dice`` or ``accuracy``.

    A pixel is foreground when its probability >= k / 255. Each image is kept as two histograms
    (foreground and background), so that any number of images costs little memory and every
    threshold is exact.

    Example:
        >>> curve = ThresholdCurve()
        >>> curve.add(torch.tensor([0.1, 0.3, 0.4, 0.9]), torch.tensor([0, 0, 1, 1]))
        >>> curve.best("accuracy")  # anywhere above 0.3 and up to 0.4 is perfect; nearest to 1/2
        0.4
    """

    thresholds = np.arange(LEVELS) / (LEVELS - 1)

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
        values, true = flat_pair(probability, truth)
        # float64: in float32, 102/255 * 255 falls just below 102
        levels = (values * np.float64(LEVELS - 1) + 1e-6).astype(np.uint8)
        both = np.bincount(levels + LEVELS * true, minlength=2 * LEVELS)
        self.histograms.append((both[LEVELS:], both[:LEVELS]))

    def of_label(self, place: int, labels: int) -> "ThresholdCurve":
        """Return the curve of one label, where those of each image were added in their order.

        Args:
            place: of the label, from 0.
            labels: how many there are.

        Example:
            >>> curve = ThresholdCurve()
            >>> curve.add(torch.tensor([0.2]), torch.tensor([1]))  # of the first label
            >>> curve.add(torch.tensor([0.8]), torch.tensor([0]))  # of the second
            >>> curve.of_label(1, 2).values("accuracy")[[0, 255]].tolist()
            [0.0, 1.0]
        """
        curve = ThresholdCurve()
        curve.histograms = self.histograms[place::labels]
        return curve

    def values(self, metric: str) -> np.ndarray:
        """Return the metric at each threshold ``k / 255``, the mean over images, ``(256,)``."""
        if not self.histograms:
            return np.empty(0)
        compute = METRICS[metric]
        return np.mean([_curve(*pair, compute) for pair in self.histograms], axis=0)


class InstanceCurve(Curve):
    """A metric of cells: ``f1`` or ``pq`` at IoU 0.5, or ``v_rand_thinned``.

    A mask of the right pixels can still run two cells together, so what is right for pixels need
    not be right for cells. Each threshold means new connected components, so few are tried.

    Args:
        find_instances: finds the cells in a probability map, given the threshold.
        scores: of true and found cells.

    Example:
        >>> from scipy.ndimage import label
        >>> curve = InstanceCurve(lambda probability, threshold: label(probability >= threshold)[0])
        >>> curve.add(torch.tensor([[0.9, 0.9, 0.6, 0.8, 0.8]]), torch.tensor([[1, 1, 0, 2, 2]]))
        >>> curve.best("f1")  # at 0.6 both are one cell
        0.65
    """

    thresholds = np.arange(1, 20) / 20

    def __init__(
        self, find_instances: InstanceFunction, scores: SegmentScores = instance_metrics
    ) -> None:
        self.find_instances, self.scores = find_instances, scores
        self.rows: list[list[Mapping[str, float]]] = []

    def add(
        self,
        probability: torch.Tensor,
        cells: torch.Tensor,
        further: NDArray[np.floating] | None = None,
    ) -> None:
        """Add one image.

        Args:
            probability: ``(*spatial)``, in [0, 1].
            cells: ``(*spatial)``, a number for each true cell, 0 for background.
            further: ``(H, *spatial)``, maps that ``find_instances`` takes after the threshold.

        Raises:
            ValueError: another shape, or numbers that are not whole.
        """
        maps = probability.numpy()
        more = () if further is None else (further,)
        instances = (self.find_instances(maps, float(t), *more) for t in self.thresholds)
        self.rows.append([self.scores(cells.numpy(), predicted) for predicted in instances])

    def values(self, metric: str) -> np.ndarray:
        """Return the metric at each of the ``thresholds``, the mean over images."""
        if not self.rows:
            return np.empty(0)
        return np.mean([[scores[metric] for scores in row] for row in self.rows], axis=0)


def _curve(
    foreground: np.ndarray, background: np.ndarray, metric: Callable[[Counts], Any]
) -> NDArray[np.float64]:
    # pixels at or above level k: what lies below it is cut off
    tp = foreground.sum() - np.cumsum(foreground) + foreground
    fp = background.sum() - np.cumsum(background) + background
    at_each_level: list[Any] = [tp, fp, foreground.sum() - tp, background.sum() - fp]
    values: NDArray[np.float64] = metric(Counts(*at_each_level))
    return values
