"""Contingency table: how many pixels each segment of one labelling shares with each of another."""

import numpy as np
from numpy.typing import NDArray

Label = NDArray[np.integer]
"""A number for each segment, 0 for background."""


def contingency_table(truth: Label, prediction: Label) -> NDArray[np.int64]:
    """Count the pixels that each true segment (row) shares with each predicted one (column).

    Row 0 and column 0 are the backgrounds; segments stand in the order of their numbers.

    Args:
        truth: whole numbers, 0 for background, of any shape.
        prediction: the same, of the same shape.

    Raises:
        ValueError: different shapes, or numbers that are not whole or are negative.

    Example:
        >>> contingency_table(np.array([0, 7, 7, 9]), np.array([0, 3, 3, 3]))
        array([[1, 0],
               [0, 2],
               [0, 1]])
    """
    if truth.shape != prediction.shape:
        raise ValueError(
            f"prediction of shape {prediction.shape}, truth of {truth.shape}; expected one shape"
        )
    rows, columns = (_consecutive(label) for label in (truth, prediction))
    width = int(columns.max(initial=0)) + 1
    height = int(rows.max(initial=0)) + 1
    pairs = np.bincount(rows.ravel() * width + columns.ravel(), minlength=height * width)
    return pairs.reshape(height, width)


def _consecutive(label: Label) -> Label:
    if not np.issubdtype(label.dtype, np.integer) or label.min(initial=0) < 0:
        raise ValueError(f"label of {label.dtype}: expected whole numbers, 0 for background")
    highest = int(label.max(initial=0))
    if highest > label.size:  # sorting the pixels is cheaper than a table of all numbers
        numbers, places = np.unique(label, return_inverse=True)
        return places.reshape(label.shape) + int(numbers[0] > 0)
    is_used = np.zeros(highest + 1, bool)
    is_used[label] = True
    is_used[0] = True
    if is_used.all():
        return label.astype(np.int64)
    return (np.cumsum(is_used) - 1)[label]
