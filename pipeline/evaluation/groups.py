"""Whether a model serves every group alike: means by group, gaps with a test, a curve over age."""

import itertools
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.data.columns import check_columns
from pipeline.metrics.statistics import (
    Interval,
    bootstrap_interval,
    holm,
    patients_of,
    permutation_test,
    sign_flip_test,
)

Row = Mapping[str, Any]
"""One image: its scores, ``patient``, and its group columns."""

MIN_PATIENTS = 10
"""Patients below which a group is too small to be judged."""
SIGNIFICANT = 0.05


class Group(NamedTuple):
    """The images of one group.

    Attributes:
        values: of the group columns, by name; a column that is left out stands for all its values.
        interval: mean of the metric, its 95 % interval, images and patients.
        enough: whether there are patients enough to judge by.
    """

    values: Mapping[str, Any]
    interval: Interval
    enough: bool


class Gap(NamedTuple):
    """The difference between two values of a column.

    Attributes:
        column: of the groups.
        first: one value.
        second: the other.
        difference: mean of the first less that of the second.
        p: probability of a gap as large by chance, corrected for the number of gaps; None where a
            group is too small to be judged.
    """

    column: str
    first: Any
    second: Any
    difference: float
    p: float | None

    def verdict(self) -> str:
        """Say it in words."""
        if self.p is None:
            return "too few to judge"
        return "differ" if self.p < SIGNIFICANT else "no difference shown"


def group_table(rows: Sequence[Row], columns: Sequence[str], metric: str) -> list[Group]:
    """Return the groups, from single columns to all combinations, and all images last.

    A mean over several groups is taken over their images, so that larger groups weigh more, as in
    the table of "A look into U-Net" (its Table 3).

    Args:
        rows: the per-image table with ``patient`` and the group columns.
        columns: by which to group, one or more.
        metric: name of a score.

    Raises:
        ValueError: a column that an image lacks, or that has one value.

    Example:
        >>> rows = [{"iou": 0.8, "sex": "f"}, {"iou": 0.9, "sex": "f"}, {"iou": 0.6, "sex": "m"}]
        >>> [(dict(g.values), round(g.interval.mean, 3)) for g in group_table(rows, ["sex"], "iou")]
        [({'sex': 'f'}, 0.85), ({'sex': 'm'}, 0.6), ({}, 0.767)]
    """
    check_columns(rows, columns)
    groups = []
    for size in range(len(columns), -1, -1):
        for chosen in itertools.combinations(columns, size):
            members: dict[tuple[Hashable, ...], list[Row]] = defaultdict(list)
            for row in rows:
                members[tuple(row[name] for name in chosen)].append(row)
            for key in sorted(members, key=str):
                values = dict(zip(chosen, key, strict=True))
                groups.append(_group(values, members[key], metric))
    return groups


def gaps(rows: Sequence[Row], columns: Sequence[str], metric: str) -> list[Gap]:
    """Compare each two values of each column, by a permutation test over patients' means.

    Where patients have images of both values (a left and a right eye, say), each is compared with
    itself, and those without both are left out.

    Raises:
        ValueError: a column that an image lacks, or that has one value.

    Example:
        >>> rows = [{"iou": 0.5 + i / 100, "patient": i, "sex": "fm"[i % 2]} for i in range(40)]
        >>> gaps(rows, ["sex"], "iou")[0].verdict()
        'no difference shown'
    """
    check_columns(rows, columns)
    differences = []
    for column in columns:
        values = sorted({row[column] for row in rows}, key=str)
        for first, second in itertools.combinations(values, 2):
            one, other = (
                _patient_means([row for row in rows if row[column] == value], metric)
                for value in (first, second)
            )
            differences.append(Gap(column, first, second, *_tested(one, other)))
    p_values = iter(holm([gap.p for gap in differences if gap.p is not None]))
    return [gap if gap.p is None else gap._replace(p=next(p_values)) for gap in differences]


def running_mean(
    rows: Sequence[Row], column: str, metric: str, window: float
) -> list[tuple[float, int, float]]:
    """Return the mean of a metric along a number such as age.

    Args:
        rows: the per-image table.
        column: of numbers.
        metric: name of a score.
        window: total width; a row belongs where it is at most half of it away.

    Returns:
        For each value that occurs, in rising order: the value, the images that have it, and the
        mean over the window around it.

    Raises:
        ValueError: a column that an image lacks, that has one value, or text in it.

    Example:
        >>> rows = [{"iou": 0.8, "age": 30}, {"iou": 0.6, "age": 31}, {"iou": 0.5, "age": 60}]
        >>> running_mean(rows, "age", "iou", window=10)
        [(30.0, 1, 0.7), (31.0, 1, 0.7), (60.0, 1, 0.5)]
    """
    ages = _numbers(rows, column)
    scores = np.array([row[metric] for row in rows], np.float64)
    near = np.abs(ages[:, None] - np.unique(ages)) <= window / 2
    means = (scores[:, None] * near).sum(0) / near.sum(0)
    counts = (ages[:, None] == np.unique(ages)).sum(0)
    return [
        (float(age), int(n), round(float(mean), 12))
        for age, n, mean in zip(np.unique(ages), counts, means, strict=True)
    ]


def check_metric(rows: Sequence[Row], metric: str) -> None:
    """Refuse to compare by what is no score.

    Raises:
        ValueError: the rows have no such number.
    """
    if not isinstance(rows[0].get(metric), (int, float)):
        names = ", ".join(name for name, value in rows[0].items() if isinstance(value, float))
        raise ValueError(f"metric '{metric}': not in the table of cases; it has {names}")


def binned(rows: Sequence[Row], column: str, metric: str, width: float) -> list[Group]:
    """Return the means of a metric over bins of a number such as age.

    Args:
        rows: the per-image table.
        column: of numbers.
        metric: name of a score.
        width: of the bins; they begin at its multiples.

    Returns:
        The bins that hold an image, in rising order, named by their first and last whole number.

    Raises:
        ValueError: a column that an image lacks, that has one value, or text in it.

    Example:
        >>> rows = [{"iou": 0.8, "age": 30}, {"iou": 0.6, "age": 39.5}, {"iou": 0.5, "age": 60}]
        >>> [(g.values["age"], g.interval.mean) for g in binned(rows, "age", "iou", width=10)]
        [('30 to 39', 0.7), ('60 to 69', 0.5)]
    """
    numbers = _numbers(rows, column)
    members: dict[float, list[Row]] = defaultdict(list)
    for row, number in zip(rows, numbers, strict=True):
        members[number // width * width].append(row)
    return [
        _group({column: f"{start:g} to {start + width - 1:g}"}, members[start], metric)
        for start in sorted(members)
    ]


def _numbers(rows: Sequence[Row], column: str) -> NDArray[np.float64]:
    check_columns(rows, [column])
    try:
        return np.array([float(row[column]) for row in rows])
    except ValueError as error:
        raise ValueError(f"group column '{column}': {error}; expected numbers") from None


def _group(values: Mapping[str, Any], rows: Sequence[Row], metric: str) -> Group:
    interval = bootstrap_interval([row[metric] for row in rows], patients_of(rows))
    return Group(values, interval, interval.patients >= MIN_PATIENTS)


def _patient_means(rows: Sequence[Row], metric: str) -> dict[Hashable, float]:
    values: dict[Hashable, list[float]] = defaultdict(list)
    for i, row in enumerate(rows):
        alone = ("alone", row.get("image", i))
        values[alone if row.get("patient") is None else row["patient"]].append(row[metric])
    return {patient: float(np.mean(scores)) for patient, scores in values.items()}


def _tested(
    one: Mapping[Hashable, float], other: Mapping[Hashable, float]
) -> tuple[float, float | None]:
    """The difference of the patients' means, and its probability by chance."""
    both = [one[patient] - other[patient] for patient in one if patient in other]
    if both:
        return float(np.mean(both)), sign_flip_test(both) if len(both) >= MIN_PATIENTS else None
    first, second = list(one.values()), list(other.values())
    enough = min(len(first), len(second)) >= MIN_PATIENTS
    p = permutation_test(first, second) if enough else None
    return float(np.mean(first) - np.mean(second)), p
