"""Checks of a metric's input; each error is one line."""

import numpy as np
import torch
from numpy.typing import NDArray


def flat_pair(
    probability: torch.Tensor, truth: torch.Tensor
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Return an image's probabilities and its foreground, both flattened.

    Pixels whose truth is below 0 are left out.

    Raises:
        ValueError: different shapes, or a value outside [0, 1] or NaN.
    """
    if probability.shape != truth.shape:
        raise ValueError(
            f"probabilities of shape {tuple(probability.shape)}, truth of "
            f"{tuple(truth.shape)}; expected one shape"
        )
    values, true = probability.numpy(force=True).ravel(), truth.numpy(force=True).ravel()
    check_probability(values)
    counted = true >= 0
    return values[counted], true[counted] > 0


def check_probability(values: NDArray[np.floating]) -> None:
    """Refuse values that are no probabilities.

    Raises:
        ValueError: a value outside [0, 1], or NaN.
    """
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError("a probability outside [0, 1]; expected a sigmoid's output")
