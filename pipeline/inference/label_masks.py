"""From the probabilities of the labels to their masks."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.data.label_numbers import LabelNumbers, painted_numbers
from pipeline.metrics.contingency import Label

InstanceFunction = Callable[[NDArray[np.floating], float], Label]
"""Separates the instances in a probability map, ``(*spatial)``, given the threshold."""

MaskFunction = Callable[[NDArray[np.floating], float], NDArray[np.bool_]]
"""Turns the probability map of a label, ``(*spatial)``, into its mask, given the threshold."""


def plain_mask(probability: NDArray[np.floating], threshold: float) -> NDArray[np.bool_]:
    """The mask of what is at and above the threshold."""
    return probability >= threshold


def label_masks(
    probability: NDArray[np.floating],
    threshold: float,
    postprocessing: MaskFunction = plain_mask,
    overlapping: bool = False,
) -> NDArray[np.bool_]:
    """Return the mask of each label; of several, a pixel belongs to the most probable one.

    Labels that overlap, as regions do, each keep their pixels.

    What is scored and what is written are these masks.

    Args:
        probability: of each label, ``(K, *spatial)``.
        threshold: at and above which a pixel is foreground.
        postprocessing: makes the mask of one label.
        overlapping: whether a pixel may belong to several labels.

    Example:
        >>> probability = np.array([[[0.9, 0.6, 0.2]], [[0.8, 0.7, 0.1]]])
        >>> label_masks(probability, 0.5).astype(int).tolist()
        [[[1, 0, 0]], [[0, 1, 0]]]
        >>> label_masks(probability, 0.5, overlapping=True).astype(int).tolist()
        [[[1, 1, 0]], [[1, 1, 0]]]
    """
    masks = np.stack([postprocessing(label, threshold) for label in probability])
    if len(masks) > 1 and not overlapping:
        winner = np.where(masks, probability, -1).argmax(0)
        numbers = np.arange(len(masks)).reshape(-1, *[1] * winner.ndim)
        masks &= numbers == winner
    return masks


def masks_and_instances(
    probability: NDArray[np.floating],
    threshold: float,
    postprocessing: MaskFunction,
    separate: InstanceFunction | None,
    overlapping: bool = False,
) -> tuple[NDArray[np.bool_], Label | None]:
    """Return the mask of each label, and the instances of the first where they are separated.

    The mask is then that of the instances.
    """
    if separate is None:
        return label_masks(probability, threshold, postprocessing, overlapping), None
    instances = separate(probability[0], threshold)
    return instances[None] > 0, instances


def painted(masks: NDArray[np.bool_], labels: LabelNumbers) -> NDArray[np.integer]:
    """Paint the masks of labels into one, each with its number, of a region with the first.

    Where labels overlap, the later one is painted over the earlier.

    Args:
        masks: of each label, ``(K, *spatial)``.
        labels: name and number or numbers of each, in the same order.

    Returns:
        ``(*spatial)``, uint8, or uint16 if a number is above 255.

    Raises:
        ValueError: two labels with the same first number.

    Example:
        >>> masks = np.array([[[1, 1, 0]], [[0, 1, 0]]], bool)
        >>> painted(masks, {"whole": [17, 1035], "core": 1035}).tolist()
        [[17, 1035, 0]]
    """
    numbers = painted_numbers(labels)
    mask: NDArray[np.integer] = np.zeros(masks.shape[1:], np.min_scalar_type(max(numbers)))
    for number, label in zip(numbers, masks, strict=True):
        mask[label] = number
    return mask
