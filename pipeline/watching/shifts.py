"""Whether the studies of a week lie elsewhere than the validation patients."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import fisher_exact

from pipeline.inference.recorder import Inference
from pipeline.inference.validation_values import ValidationValues
from pipeline.metrics.statistics import holm

FAILED = "failed"
FLAGS = ("empty", "full", "unlike")
"""Flags of a week's share: these of an image that was segmented."""
SHARE_FLAGGED = "share of studies flagged"
ALPHA = 0.01
"""Probability of an alarm in a week without a shift, at most."""
MAX_STUDIES = 100
"""Studies of a week that are thought of where a week is said to raise no alarm at all."""


@dataclass(frozen=True)
class Shift:
    """A value of a week's studies beside that of the validation patients.

    Attributes:
        name: of the value.
        studies: that have it.
        median: of the week; of a share, the share.
        usual: of the validation patients.
        low: 5 % of the patients lie below it; None of a share.
        high: 5 % of them lie above it.
        p: probability that chance sets them as far apart, corrected for the number of values.
    """

    name: str
    studies: int
    median: float
    usual: float
    low: float | None
    high: float | None
    p: float


@dataclass(frozen=True)
class WeekTest:
    """The comparison of a week.

    Attributes:
        shifts: of every value that can be compared, the least probable by chance first.
        not_compared: values that no validation patient has, as another unit.
        not_measured: values of validation that no study of the week has, as sizes at another
            threshold.
        alpha: probability of an alarm in a week without a shift, at most.
    """

    shifts: tuple[Shift, ...]
    not_compared: tuple[str, ...]
    not_measured: tuple[str, ...]
    alpha: float

    @cached_property
    def alarms(self) -> list[Shift]:
        """The values that have shifted."""
        return [shift for shift in self.shifts if shift.p <= self.alpha]


def compare_week(rows: Sequence[Inference], usual: ValidationValues, alpha: float) -> WeekTest:
    """Compare the studies of a week with the validation patients.

    Each value is compared by the test of Kolmogorov and Smirnov between the percentiles that are
    kept of the patients, the share of flagged studies by Fisher's exact test; p is corrected for
    their number by Holm. In a week without a shift, the probability of any alarm is ``alpha`` at
    most, over weeks and validation patients of one population (Rabanser et al. 2019, Failing
    Loudly, https://arxiv.org/abs/1810.11953, compare univariate tests so).

    Args:
        rows: of the week; those of images that failed are left out.
        usual: what inference measured of the validation patients.
        alpha: probability of an alarm without a shift.
    """
    done = [row for row in rows if FAILED not in row.flags]
    values = by_study(done)
    compared = {name: own for name, own in values.items() if name in usual.measured}
    shifts = [_shift(name, own, usual) for name, own in compared.items()]
    shifts += [_share_flagged(done, usual)] if done else []
    corrected = holm([shift.p for shift in shifts])
    tested = [Shift(**{**vars(s), "p": p}) for s, p in zip(shifts, corrected, strict=True)]
    return WeekTest(
        tuple(sorted(tested, key=lambda shift: shift.p)),
        not_compared=tuple(name for name in values if name not in usual.measured),
        not_measured=tuple(name for name in usual.measured if name not in values),
        alpha=alpha,
    )


def by_study(rows: Sequence[Inference]) -> dict[str, list[float]]:
    """Return each measured value over studies; of several images of a study their mean.

    Example:
        >>> rows = [Inference(0, "s", "b", "m", "e", 1, (), {"mean": value}) for value in (1, 3)]
        >>> by_study(rows)
        {'mean': [2.0]}
    """
    collected: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        for name, value in row.measured.items():
            collected.setdefault(name, {}).setdefault(row.study, []).append(value)
    return {
        name: [float(np.mean(values)) for values in studies.values()]
        for name, studies in collected.items()
    }


def flagged_studies(rows: Sequence[Inference]) -> Mapping[str, bool]:
    """Return of each study whether an image of it is flagged."""
    flagged: dict[str, bool] = {}
    for row in rows:
        flagged[row.study] = flagged.get(row.study, False) or any(f in FLAGS for f in row.flags)
    return flagged


def studies_needed(usual: ValidationValues, alpha: float) -> int | None:
    """Return the number of studies from which on a week can raise an alarm at all.

    As many that all lie beyond the percentiles of the validation patients in a value.

    Returns:
        None: there are too few validation patients for any week up to :data:`MAX_STUDIES`.

    Example:
        >>> from pipeline.inference.validation_values import Distribution
        >>> of = lambda n: {"mean": Distribution.of(list(range(n)))}
        >>> [studies_needed(ValidationValues(patients=n, flagged=0, measured=of(n)), 0.01)
        ...  for n in (3, 100)]
        [None, 3]
    """
    ends = [(own, end) for own in usual.measured.values() for end in (-math.inf, math.inf)]
    own, end = min(ends, key=lambda pair: pair[0].p_value([pair[1]] * MAX_STUDIES))
    tests = len(usual.measured) + 1
    steps = range(1, MAX_STUDIES + 1)
    return next((n for n in steps if tests * own.p_value([end] * n) <= alpha), None)


def _shift(name: str, values: Sequence[float], usual: ValidationValues) -> Shift:
    own = usual.measured[name]
    low, median, high = (own.quantile(share) for share in (0.05, 0.5, 0.95))
    p = own.p_value(values)
    return Shift(name, len(values), float(np.median(values)), median, low, high, p)


def _share_flagged(rows: Sequence[Inference], usual: ValidationValues) -> Shift:
    flagged = flagged_studies(rows)
    own, n, others = sum(flagged.values()), len(flagged), usual.flagged
    table = [[own, n - own], [others, usual.patients - others]]
    p = float(fisher_exact(table).pvalue)
    return Shift(SHARE_FLAGGED, n, own / n, others / usual.patients, None, None, p)
