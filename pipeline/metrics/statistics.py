"""Confidence intervals of means, and tests of differences, both over patients."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000
"""Draws of the bootstrap."""
LEVEL = 0.95
"""Level of the intervals."""


class Interval(NamedTuple):
    """A mean with its 95 % interval.

    Attributes:
        mean: mean of the values.
        low: lower end of the interval; None for a single patient, who says nothing of others.
        high: upper end of the interval; None for a single patient.
        n: number of values.
        patients: number of independent patients; an image of an unknown one counts as one.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    patients: int


def bootstrap_interval(
    values: ArrayLike,
    patients: Sequence[Hashable] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the mean with its 95 % interval, by the bootstrap over patients.

    Patients are drawn with replacement, not images, since images of one patient are not
    independent. The ends are the 2.5 and 97.5 percentiles of the means of ``resamples`` draws
    (Efron's percentile interval). With few patients it is too narrow: with 5 it holds about 80 %.

    Args:
        values: one value for each image; no NaN.
        patients: patient of each image; None: each image is a patient of its own.
        resamples: number of draws.
        seed: seed of the draws; the same seed gives the same interval.

    Raises:
        ValueError: no value, a NaN, or not as many patients as values.

    Example:
        >>> bootstrap_interval([0.8, 0.8, 0.8])
        Interval(mean=0.8, low=0.8, high=0.8, n=3, patients=3)
    """
    sums, counts = by_patient(values, patients)
    n, mean = int(counts.sum()), float(sums.sum() / counts.sum())
    if len(sums) < 2:
        return Interval(mean, None, None, n, len(sums))
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(sums), (resamples, len(sums)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.percentile(means, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Interval(round(mean, 12), round(float(low), 12), round(float(high), 12), n, len(sums))


def independent_unit(n: int, patients: int) -> str:
    """Say over what an interval is: ``patients``, or ``images`` where each is its own patient.

    A cohort that names no patients, and one with an image of each, are the same to an interval; of
    the first nobody may say that it speaks of patients.

    Args:
        n: number of images.
        patients: number of independent ones, see :func:`patients_of`.

    Example:
        >>> independent_unit(30, 6), independent_unit(30, 30)
        ('patients', 'images')
    """
    return "patients" if patients < n else "images"


def share_patients(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether at least two rows are of one patient.

    Example:
        >>> share_patients([{"patient": "a"}, {"patient": "a"}, {}]), share_patients([{}, {}])
        (True, False)
    """
    return len(set(patients_of(rows))) < len(rows)


def patients_of(rows: Sequence[Mapping[str, Any]]) -> list[Hashable]:
    """Return the patient of each row; a row without one is a patient of its own, by its number.

    Example:
        >>> patients_of([{"patient": "a"}, {"patient": None}, {}])
        ['a', 1, 2]
    """
    return [i if row.get("patient") is None else row["patient"] for i, row in enumerate(rows)]


def sign_flip_test(differences: ArrayLike, resamples: int = 10_000, seed: int = 0) -> float:
    """Return the probability that chance gives a mean difference as far from 0, of paired values.

    The signs of the differences are flipped at random, and p is counted as in
    :func:`permutation_test`.

    Args:
        differences: one difference for each patient.
        resamples: number of random flips.
        seed: seed of the flips.

    Raises:
        ValueError: no difference.

    Example:
        >>> sign_flip_test([0.1, -0.1])
        1.0
    """
    values = np.asarray(differences, np.float64)
    if not len(values):
        raise ValueError("no difference to test; expected at least one")
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (resamples, len(values)))
    far = np.abs((signs * values).mean(1)) >= abs(values.mean()) - 1e-12
    return float((1 + far.sum()) / (1 + resamples))


def permutation_test(
    first: ArrayLike, second: ArrayLike, resamples: int = 10_000, seed: int = 0
) -> float:
    """Return the probability that chance gives a gap between two means as large. Two-sided.

    The group labels are shuffled; p is (1 + shuffles with a gap as large) / (1 + shuffles), never 0
    (Phipson and Smyth 2010).

    Args:
        first: values of one group, one for each patient.
        second: values of the other group, one for each patient.
        resamples: number of shuffles.
        seed: seed of the shuffles.

    Raises:
        ValueError: a group without a value.

    Example:
        >>> permutation_test([0.9, 0.8], [0.9, 0.8])
        1.0
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if not len(one) or not len(other):
        raise ValueError("a group without a value; expected at least one in each")
    together = np.concatenate([one, other])
    gap = abs(one.mean() - other.mean())
    rng = np.random.default_rng(seed)
    shuffled = rng.permuted(np.broadcast_to(together, (resamples, len(together))), axis=1)
    head = shuffled[:, : len(one)].sum(1)
    gaps = np.abs(head / len(one) - (together.sum() - head) / len(other))
    return float((1 + (gaps >= gap - 1e-12).sum()) / (1 + resamples))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for the number of tests (Holm 1979).

    The k-th smallest of m is multiplied by m - k + 1; no result falls below that of a smaller p.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values)
    m, highest = len(p_values), 0.0
    out = [0.0] * m
    for k, i in enumerate(order):
        highest = max(highest, min(1.0, (m - k) * p_values[i]))
        out[i] = round(highest, 12)
    return out


def by_patient(
    values: ArrayLike, patients: Sequence[Hashable] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sum and the number of each patient's values, in the order of first appearance.

    Args:
        values: one value for each image; no NaN.
        patients: patient of each image; None: each image is a patient of its own.

    Raises:
        ValueError: no value, a NaN, or not as many patients as values.
    """
    array = np.asarray(values, np.float64)
    if not len(array):
        raise ValueError("no value to take a mean of; expected at least one")
    if np.isnan(array).any():
        raise ValueError(f"{int(np.isnan(array).sum())} of {len(array)} values are NaN")
    if patients is None:
        return array, np.ones(len(array))
    if len(patients) != len(array):
        raise ValueError(
            f"found {len(patients)} patients for {len(array)} values; expected as many"
        )
    place = {patient: i for i, patient in enumerate(dict.fromkeys(patients))}
    index = [place[patient] for patient in patients]
    return np.bincount(index, array).astype(np.float64), np.bincount(index).astype(np.float64)


def ks_test_of_counts(first: Sequence[int], second: Sequence[int]) -> float:
    """Return the probability that chance sets two samples as far apart (Kolmogorov and Smirnov).

    The distance is the largest difference of their shares up to a border of the bins. As it is at
    most that of the samples themselves, the test is conservative (Noether 1963, Metrika 7): without
    a difference, p <= a in at most a of all samples.

    Args:
        first: values of one sample in each bin.
        second: values of the other sample in the same bins.

    Raises:
        ValueError: other bins, or a sample without a value.

    Example:
        >>> ks_test_of_counts([2, 2], [2, 2]), ks_test_of_counts([3, 0], [0, 3])
        (1.0, 0.1)
    """
    from scipy.stats import ks_2samp  # slow to import, and a training imports this module

    if len(first) != len(second) or not sum(first) or not sum(second):
        raise ValueError("expected two samples in the same bins, with a value in each")
    bins = np.arange(len(first))
    return float(round(ks_2samp(np.repeat(bins, first), np.repeat(bins, second)).pvalue, 12))
