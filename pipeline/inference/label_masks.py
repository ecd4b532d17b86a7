"""From the probabilities of the labels to their masks."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.label_numbers import LabelNumbers, labels_overlap, painted_numbers
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
    if overlapping or len(probability) == 1:
        return np.stack([postprocessing(label, threshold) for label in probability])
    numbers = range(1, len(probability) + 1)
    winner = most_probable(probability, numbers, threshold, postprocessing)
    return np.stack([winner == number for number in numbers])


def most_probable(
    probabilities: Iterable[NDArray[np.floating]],
    numbers: Sequence[int],
    threshold: float,
    postprocessing: MaskFunction = plain_mask,
) -> NDArray[np.integer]:
    """Return for each pixel the number of the most probable label whose mask holds it, or 0.

    Of equally probable labels it is the first.

    Args:
        probabilities: of each label, ``(*spatial)``, taken one after the other.
        numbers: of each label.
        threshold: at and above which a pixel is foreground.
        postprocessing: makes the mask of one label.

    Returns:
        ``(*spatial)``, uint8, or uint16 if a number is above 255.
    """
    dtype = np.min_scalar_type(max(numbers))
    labels = iter(probabilities)
    first = next(labels)
    winner = np.where(postprocessing(first, threshold), dtype.type(numbers[0]), dtype.type(0))
    best = np.where(winner > 0, first, -1)
    del first

    def winning(probability: NDArray[np.floating]) -> NDArray[np.bool_]:
        wins = postprocessing(probability, threshold) & (probability > best)
        np.copyto(best, probability, where=wins)
        return wins

    for number in numbers[1:]:  # no name holds a label while the next one is made
        winner[winning(next(labels))] = number
    return winner


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


def painted(masks: Iterable[NDArray[np.bool_]], labels: LabelNumbers) -> NDArray[Any]:
    """Paint the masks of labels into one, each with its number, of a region with the first.

    Where labels overlap, the later one is painted over the earlier.

    Args:
        masks: of each label, ``(*spatial)``, in the order of the labels.
        labels: name and number or numbers of each.

    Returns:
        ``(*spatial)``, uint8, or uint16 if a number is above 255; the mask itself of one label
        that :func:`is_plain`.

    Raises:
        ValueError: two labels with the same first number.

    Example:
        >>> masks = np.array([[[1, 1, 0]], [[0, 1, 0]]], bool)
        >>> painted(masks, {"whole": [17, 1035], "core": 1035}).tolist()
        [[17, 1035, 0]]
    """
    if is_plain(labels):
        [mask] = masks
        return mask
    numbers = painted_numbers(labels)
    dtype = np.min_scalar_type(max(numbers))
    painting: NDArray[np.integer] = np.zeros((), dtype)
    for number, label in zip(numbers, masks, strict=True):
        painting = np.where(label, dtype.type(number), painting)
    return painting


def painted_mask(
    probabilities: Iterable[NDArray[np.floating]],
    labels: LabelNumbers,
    threshold: float,
    postprocessing: MaskFunction,
) -> NDArray[Any]:
    """Paint :func:`label_masks` into one, with one label in memory at a time.

    Args:
        probabilities: of each label, ``(*spatial)``, taken one after the other.
        labels: name and number or numbers of each, in the same order.
        threshold: at and above which a pixel is foreground.
        postprocessing: makes the mask of one label.

    Returns:
        As :func:`painted`.
    """
    if len(labels) < 2 or labels_overlap(labels):
        return painted((postprocessing(label, threshold) for label in probabilities), labels)
    return most_probable(probabilities, painted_numbers(labels), threshold, postprocessing)


def is_plain(labels: LabelNumbers) -> bool:
    """Return whether there is one label, which a format's own number of foreground means.

    Example:
        >>> is_plain({}), is_plain({"lung": 1}), is_plain({"lung": 2})
        (True, True, False)
    """
    return not labels or painted_numbers(labels) == [1]
