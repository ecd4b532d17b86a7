"""From the probabilities of the labels to their masks."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.label_numbers import LabelNumbers, labels_overlap, painted_numbers
from pipeline.inference.confidence import Confidence, confidence, entropies
from pipeline.metrics.contingency import Label

InstanceFunction = Callable[..., Label]
"""Separates the instances in a probability map, ``(*spatial)``, given the threshold and, where the
network has any, its further maps, ``(H, *spatial)``."""

MaskFunction = Callable[[NDArray[np.floating]], NDArray[np.bool_]]
"""Turns the probability map of a label, ``(*spatial)``, into its mask."""


def label_masks(
    probability: NDArray[np.floating],
    mask_functions: Sequence[MaskFunction],
    overlapping: bool = False,
) -> NDArray[np.bool_]:
    """Return the mask of each label; of several, a pixel belongs to the most probable one.

    Labels that overlap, as regions do, each keep their pixels.

    What is scored and what is written are these masks.

    Args:
        probability: of each label, ``(K, *spatial)``.
        mask_functions: one for each label.
        overlapping: whether a pixel may belong to several labels.

    Example:
        >>> probability = np.array([[[0.9, 0.6, 0.2]], [[0.8, 0.7, 0.1]]])
        >>> above = [lambda label: label >= 0.5] * 2
        >>> label_masks(probability, above).astype(int).tolist()
        [[[1, 0, 0]], [[0, 1, 0]]]
        >>> label_masks(probability, above, overlapping=True).astype(int).tolist()
        [[[1, 1, 0]], [[1, 1, 0]]]
    """
    if overlapping or len(probability) == 1:
        pairs = zip(mask_functions, probability, strict=True)
        return np.stack([mask_of(label) for mask_of, label in pairs])
    numbers = range(1, len(probability) + 1)
    winner, _ = most_probable(probability, numbers, mask_functions)
    return np.stack([winner == number for number in numbers])


def most_probable(
    probabilities: Iterable[NDArray[np.floating]],
    numbers: Sequence[int],
    mask_functions: Sequence[MaskFunction],
) -> tuple[NDArray[np.integer], list[Confidence]]:
    """Return for each pixel the number of the most probable label whose mask holds it, or 0.

    Of equally probable labels it is the first.

    Args:
        probabilities: of each label, ``(*spatial)``, taken one after the other.
        numbers: of each label.
        mask_functions: one for each label.

    Returns:
        ``(*spatial)``, uint8, or uint16 if a number is above 255; and the confidence in each label.
    """
    dtype = np.min_scalar_type(max(numbers))
    sums: list[float] = []
    labels = _summed(probabilities, sums)
    first = next(labels)
    winner = np.where(mask_functions[0](first), dtype.type(numbers[0]), dtype.type(0))
    best = np.where(winner > 0, first, -1)
    del first

    def winning(probability: NDArray[np.floating], mask_of: MaskFunction) -> NDArray[np.bool_]:
        wins = mask_of(probability) & (probability > best)
        np.copyto(best, probability, where=wins)
        return wins

    for number, mask_of in zip(numbers[1:], mask_functions[1:], strict=True):
        # no name holds a label while the next one is made
        winner[winning(next(labels), mask_of)] = number
    return winner, _confidences(winner, best, numbers, sums)


def _summed(
    probabilities: Iterable[NDArray[np.floating]], sums: list[float]
) -> Iterator[NDArray[np.floating]]:
    """Return the maps one after the other, and add the sum of each."""
    for probability in probabilities:
        sums.append(float(probability.sum(dtype=np.float64)))
        yield probability
        del probability  # before the next one is made


def _confidences(
    winner: NDArray[np.integer],
    best: NDArray[np.floating],
    numbers: Sequence[int],
    sums: Sequence[float],
) -> list[Confidence]:
    """Return the confidence in each label, of the probabilities of the labels that won."""
    won = winner > 0
    labels, values = winner[won], best[won]
    pixels = np.bincount(labels, minlength=max(numbers) + 1)
    within = np.bincount(labels, values, len(pixels))
    entropy = np.bincount(labels, entropies(values), len(pixels))
    return [
        Confidence(int(pixels[number]), float(within[number]), everywhere, float(entropy[number]))
        for number, everywhere in zip(numbers, sums, strict=True)
    ]


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
    mask_functions: Sequence[MaskFunction],
) -> tuple[NDArray[Any], list[Confidence]]:
    """Paint :func:`label_masks` into one, with one label in memory at a time.

    Args:
        probabilities: of each label, ``(*spatial)``, taken one after the other.
        labels: name and number or numbers of each, in the same order.
        mask_functions: one for each label.

    Returns:
        As :func:`painted`, and the confidence in each label.
    """
    if len(labels) < 2 or labels_overlap(labels):
        confidences: list[Confidence] = []
        masks = _masks(probabilities, mask_functions, confidences)
        return painted(masks, labels), confidences
    return most_probable(probabilities, painted_numbers(labels), mask_functions)


def _masks(
    probabilities: Iterable[NDArray[np.floating]],
    mask_functions: Sequence[MaskFunction],
    confidences: list[Confidence],
) -> Iterator[NDArray[np.bool_]]:
    """Return the masks one after the other, and add the confidence in each."""
    for mask_of, probability in zip(mask_functions, probabilities, strict=True):
        mask = mask_of(probability)
        confidences.append(confidence(mask, probability))
        yield mask


def is_plain(labels: LabelNumbers) -> bool:
    """Return whether there is one label, which a format's own number of foreground means.

    Example:
        >>> is_plain({}), is_plain({"lung": 1}), is_plain({"lung": 2})
        (True, True, False)
    """
    return not labels or painted_numbers(labels) == [1]
