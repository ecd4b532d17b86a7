"""Whether groups of patients differ in any of several numbers, by a permutation test."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
"""Shuffles of the groups over the patients."""
FEWEST = 2
"""Patients that a group must have."""


class Difference(NamedTuple):
    """The largest difference between groups.

    Attributes:
        number: place of the number that differs most.
        share: share of that number's variance that lies between the groups, 0 to 1.
        low: smallest mean of a group.
        high: largest mean of a group.
        p: probability of as large a share, in any of the numbers, by chance.
    """

    number: int
    share: float
    low: float
    high: float
    p: float


def largest_difference(
    values: NDArray[np.float64],
    groups: Sequence[Hashable],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference | None:
    r"""Test whether groups differ in any of several numbers, by the largest difference.

    .. math:: \eta^2_k = \frac{\sum_g n_g (\bar v_{gk} - \bar v_k)^2}{\sum_i (v_{ik} - \bar v_k)^2},
        \quad T = \max_k \eta^2_k

    The groups are shuffled over the patients; p is (1 + shuffles with a T as large) / (1 +
    shuffles). Since T is the largest of all numbers, p needs no correction for their count.

    Args:
        values: numbers of each patient, ``(patients, numbers)``.
        groups: group of each patient.
        resamples: number of shuffles.
        seed: seed of the shuffles.

    Returns:
        None where fewer than two groups have :data:`FEWEST` patients.

    Example:
        Groups that the second number separates, and the first does not:

        >>> values = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 5.0], [1.0, 5.0]])
        >>> found = largest_difference(values, ["a", "a", "b", "b"])
        >>> found.number, found.share, found.low, found.high
        (1, 1.0, 1.0, 5.0)
    """
    names = [name for name in dict.fromkeys(groups) if groups.count(name) >= FEWEST]
    if len(names) < 2:
        return None
    kept = np.array([name in names for name in groups])
    members = np.array([[group == name for name in names] for group in groups], float)[kept]
    centred = values[kept] - values[kept].mean(0)
    whole = (centred**2).sum(0)
    counts = members.sum(0)

    def shares(order: NDArray[np.int64]) -> NDArray[np.float64]:
        between = ((members[order].T @ centred) ** 2 / counts[:, None]).sum(0)
        return np.divide(between, whole, out=np.zeros_like(whole), where=whole > 1e-18)

    observed = shares(np.arange(len(centred)))
    rng = np.random.default_rng(seed)
    chance = np.array([shares(rng.permutation(len(centred))).max() for _ in range(resamples)])
    number = int(observed.argmax())
    means = (members.T @ values[kept])[:, number] / counts
    p = (1 + (chance >= observed[number] - 1e-12).sum()) / (1 + resamples)
    return Difference(
        number, float(observed[number]), float(means.min()), float(means.max()), float(p)
    )
