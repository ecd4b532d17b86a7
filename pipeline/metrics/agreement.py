"""How far two ways of measuring the same thing agree: Bland and Altman's limits."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

LIMIT_DEVIATIONS = 1.96
"""Standard deviations on both sides of the mean that hold 95 % of a normal distribution."""


class Agreement(NamedTuple):
    """The differences of two measurements.

    Attributes:
        bias: their mean.
        low: lower limit of agreement; None of a single difference.
        high: upper limit of agreement; None of a single difference.
        n: how many.
    """

    bias: float
    low: float | None
    high: float | None
    n: int


def bland_altman(differences: ArrayLike) -> Agreement:
    """Return bias and 95 % limits of agreement of differences between two measurements.

    The limits are the mean difference -+ 1.96 standard deviations (n - 1 in the denominator): about
    95 % of further differences lie between them, if these are normally distributed and independent
    (Bland and Altman 1986, https://doi.org/10.1016/S0140-6736(86)90837-8).

    Args:
        differences: one for each case, in any unit.

    Raises:
        ValueError: no difference, or one that is NaN or infinite.

    Example:
        >>> bland_altman([1.0, 2.0, 3.0])
        Agreement(bias=2.0, low=0.04, high=3.96, n=3)
    """
    values = np.asarray(differences, np.float64)
    if not len(values):
        raise ValueError("no difference to describe; expected at least one")
    if not np.isfinite(values).all():
        raise ValueError(f"differences: found {values[~np.isfinite(values)][0]}; expected numbers")
    bias = float(values.mean())
    if len(values) < 2:
        return Agreement(bias, None, None, 1)
    reach = LIMIT_DEVIATIONS * float(values.std(ddof=1))
    return Agreement(bias, round(bias - reach, 12), round(bias + reach, 12), len(values))
