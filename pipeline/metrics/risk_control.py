"""Conformal risk control: a threshold with a bound on what is lost in expectation."""

import math

import numpy as np
from numpy.typing import ArrayLike


def controlled_level(losses: ArrayLike, bound: float) -> int | None:
    """Return the highest level at which the expected loss of a further patient is bounded.

    Of n patients exchangeable with the further one, with losses L_i(t) in [0, 1] that grow with the
    level t, it is the highest t with ``n / (n + 1) mean_i L_i(t) + 1 / (n + 1) <= bound``: the
    lambda-hat of Angelopoulos et al. 2022, Conformal Risk Control
    (https://arxiv.org/abs/2208.02814), with B = 1 and lambda = -t. Then E[L_{n+1}(t)] <= bound
    (their Theorem 1); the expectation is over the n patients and the further one.

    Args:
        losses: of each patient at each level, ``(n, levels)``.
        bound: of the expected loss, above 0 and below 1.

    Returns:
        The number of the level; None: the bound holds at none.

    Raises:
        ValueError: no patient, or losses outside [0, 1] or that fall with the level.

    Example:
        >>> losses = [[0.0, 0.1, 0.4]] * 19
        >>> [controlled_level(losses, bound) for bound in (0.04, 0.05, 0.15)]
        [None, 0, 1]
    """
    values = np.asarray(losses, np.float64)
    if not len(values) or values.min() < 0 or values.max() > 1 or (np.diff(values) < 0).any():
        raise ValueError("expected losses from 0 to 1 of at least one patient, that grow by level")
    n = len(values)
    bounded = (values.sum(axis=0) + 1) / (n + 1) <= bound
    return int(np.flatnonzero(bounded)[-1]) if bounded.any() else None


def patients_needed(bound: float) -> int:
    """Return the least number of patients of which :func:`controlled_level` can say anything.

    Without any loss the bound is 1 / (n + 1).

    Example:
        >>> patients_needed(0.05), patients_needed(0.1)
        (19, 9)
    """
    return math.ceil(1 / bound - 1 - 1e-9)
