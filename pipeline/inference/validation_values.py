"""What inference measures of the validation cases, which later images are compared with."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from pipeline.inference.structures import SIZE_UNITS
from pipeline.metrics.statistics import ks_test_of_counts

LEVELS = np.arange(5, 100, 5)
"""Percentiles that cut a distribution; below the first and above the last nothing is kept."""
DIGITS = 6
"""Significant digits of a cut."""


class Distribution(BaseModel):
    """How a value lies over patients: percentiles, and how many patients lie between them.

    Attributes:
        cuts: ascending.
        counts: patients up to the first cut, above it and up to the second, …, above the last.

    Example:
        >>> usual = Distribution.of(list(range(100)))
        >>> usual.n, usual.quantile(0.5), round(usual.p_value([7, 42, 80]), 2)
        (100, 49.5, 0.99)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    cuts: list[float]
    counts: list[int]

    @classmethod
    def of(cls, values: Sequence[float]) -> "Distribution":
        """Return how values lie, one of each patient."""
        percentiles = np.percentile(values, LEVELS)
        cuts = sorted({float(f"{cut:.{DIGITS}g}") for cut in percentiles})
        return cls(cuts=cuts, counts=_counts(cuts, values))

    @property
    def n(self) -> int:
        """Patients."""
        return sum(self.counts)

    def quantile(self, share: float) -> float:
        """Return the first cut up to which a share of the patients lies; else the last cut."""
        reached = np.cumsum(self.counts)[:-1] >= share * self.n
        return self.cuts[int(np.argmax(reached)) if reached.any() else -1]

    def p_value(self, values: Sequence[float]) -> float:
        """Return the probability that chance sets values as far apart from these patients'.

        By :func:`pipeline.metrics.statistics.ks_test_of_counts`, between the cuts.

        Args:
            values: one of each study.
        """
        return ks_test_of_counts(self.counts, _counts(self.cuts, values))


def _counts(cuts: Sequence[float], values: Sequence[float]) -> list[int]:
    places = np.searchsorted(cuts, values, side="left")
    return [int(number) for number in np.bincount(places, minlength=len(cuts) + 1)]


class ValidationValues(BaseModel):
    """What inference measures of the validation patients, at the stored operating point.

    Attributes:
        patients: their number.
        flagged: how many of them have an image that is flagged.
        measured: each value over the patients, by its name; of several images of a patient their
            mean.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    patients: int
    flagged: int
    measured: dict[str, Distribution]

    def of_many_patients(self, least: int) -> "ValidationValues | None":
        """Return what may leave the hospital: no value of few patients, who could be recognised.

        Args:
            least: patients that a value must have.

        Returns:
            None: nothing.
        """
        measured = {name: own for name, own in self.measured.items() if own.n >= least}
        if self.patients < least:
            return None
        return self.model_copy(update={"measured": measured})


def structure_values(
    structures: Mapping[str, Mapping[str, Any]], pages: int = 1
) -> dict[str, float]:
    """Return what is watched of the structures in an image: their sizes and expected Dice.

    Args:
        structures: as a report states them.
        pages: of the file; sizes are those of a page.

    Example:
        >>> structure_values({"lung": {"pixels": 90, "mm2": 45, "expected_dice": 0.9}})
        {'size of lung, mm2': 45.0, 'expected Dice of lung': 0.9}
    """
    values = {}
    for name, own in structures.items():
        unit = next(unit for unit in SIZE_UNITS if unit in own)
        values[f"size of {name}, {unit}"] = own[unit] / pages
        if "expected_dice" in own:
            values[f"expected Dice of {name}"] = own["expected_dice"]
    return values
