"""Whether one model is better than another: case by case, on the same cases."""

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import wilcoxon

from pipeline.data.columns import check_columns
from pipeline.evaluation.groups import FEWEST, Gap, gaps
from pipeline.metrics.statistics import (
    Interval,
    bootstrap_interval,
    by_patient,
    holm,
    patients_of,
)

Row = Mapping[str, Any]


class Comparison(NamedTuple):
    """Two runs on the same cases.

    Attributes:
        first: name of one run.
        second: name of the other.
        difference: mean of second less first, with its 95 % interval over patients.
        p: of the Wilcoxon signed-rank test on the patients' mean differences, corrected for the
            number of comparisons; None where a group is too small to be judged.
        higher: cases with a higher value in the second.
        lower: cases with a lower value in the second.
        differences: of each case, in the order of the first run's.
    """

    first: str
    second: str
    difference: Interval
    p: float | None
    higher: int
    lower: int
    differences: tuple[float, ...]


def compare(runs: Mapping[str, Sequence[Row]], metric: str) -> list[Comparison]:
    """Compare every later run with the first one.

    Cases are matched by the image's name. Paired differences say more than two means: cases differ
    far more from each other than runs do on one case.

    Args:
        runs: the per-image table of each run, by its name.
        metric: name of a score.

    Raises:
        ValueError: fewer than two runs, a metric that a run lacks, or runs on other cases.

    Example:
        >>> first = [{"image": str(i), "dice": 0.8} for i in range(20)]
        >>> second = [{"image": str(i), "dice": 0.8 + 0.001 * i} for i in range(20)]
        >>> (found,) = compare({"a": first, "b": second}, "dice")
        >>> round(found.difference.mean, 4), found.higher, found.lower, found.p < 0.001
        (0.0095, 19, 0, True)
    """
    (name, rows), *others = _at_least_two(runs).items()
    found = [_compare(name, rows, other, its, metric) for other, its in others]
    return _corrected(found)


def compare_groups(
    runs: Mapping[str, Sequence[Row]], columns: Sequence[str], metric: str
) -> list[tuple[str, Comparison]]:
    """Compare every later run with the first one within each group.

    It tells what a change did to those whom it was made for: balanced training to the smaller
    groups, say. The probabilities are corrected for all comparisons of groups together.

    Args:
        runs: the per-image table of each run, by its name.
        columns: of groups; each value of each is one, and so is each combination.
        metric: name of a score.

    Returns:
        The group in words, and the comparison, from single columns to all combinations.

    Raises:
        ValueError: as :func:`compare`, or a column that cannot group.

    Example:
        >>> rows = [{"image": str(i), "dice": 0.8, "sex": "fm"[i % 2]} for i in range(20)]
        >>> better = [{**row, "dice": 0.8 + (row["sex"] == "f") * 0.05} for row in rows]
        >>> found = compare_groups({"a": rows, "b": better}, ["sex"], "dice")
        >>> [(group, round(each.difference.mean, 3)) for group, each in found]
        [('sex f', 0.05), ('sex m', 0.0)]
    """
    (name, rows), *others = _at_least_two(runs).items()
    check_columns(rows, columns)
    found: list[tuple[str, Comparison]] = []
    for other, its in others:
        for group, members in _groups(rows, columns):
            images = {row["image"] for row in members}
            theirs = [row for row in its if row["image"] in images]
            compared = _compare(name, members, other, theirs, metric)
            enough = compared.difference.patients >= FEWEST
            found.append((group, compared if enough else compared._replace(p=None)))
    judged = _corrected([each for _, each in found])
    return [(group, each) for (group, _), each in zip(found, judged, strict=True)]


def gap_changes(
    first: Sequence[Row], second: Sequence[Row], columns: Sequence[str], metric: str
) -> list[Gap]:
    """Tell whether the gap between two groups is another in the second run than in the first.

    A group that gained and one that did not, each tested by itself, do not show it; the difference
    of their differences does, by a permutation test over patients, corrected for their number.

    Args:
        first: the per-image table of one run.
        second: of the other, on the same cases.
        columns: of groups.
        metric: name of a score.

    Returns:
        For each two values of a column by how much more the first value gained.

    Raises:
        ValueError: a column that cannot group.

    Example:
        >>> rows = [{"image": str(i), "dice": 0.8, "sex": "fm"[i % 2]} for i in range(40)]
        >>> better = [{**row, "dice": 0.8 + (row["sex"] == "f") * 0.05} for row in rows]
        >>> gap = gap_changes(rows, better, ["sex"], "dice")[0]
        >>> gap.first, gap.second, round(gap.difference, 3), gap.verdict()
        ('f', 'm', 0.05, 'differ')
    """
    theirs = {row["image"]: row[metric] for row in second}
    return gaps(
        [{**row, metric: theirs[row["image"]] - row[metric]} for row in first], columns, metric
    )


def _corrected(found: Sequence[Comparison]) -> list[Comparison]:
    corrected = iter(holm([each.p for each in found if each.p is not None]))
    return [each if each.p is None else each._replace(p=next(corrected)) for each in found]


def _groups(rows: Sequence[Row], columns: Sequence[str]) -> list[tuple[str, list[Row]]]:
    found: list[tuple[str, list[Row]]] = []
    for size in range(1, len(columns) + 1):
        for chosen in itertools.combinations(columns, size):
            members: dict[str, list[Row]] = defaultdict(list)
            for row in rows:
                members[", ".join(f"{name} {row[name]}" for name in chosen)].append(row)
            found += sorted(members.items())
    return found


def _at_least_two(runs: Mapping[str, Sequence[Row]]) -> Mapping[str, Sequence[Row]]:
    if len(runs) < 2:
        raise ValueError(f"found {len(runs)} run; expected two or more to compare")
    return runs


def _compare(
    first: str, rows: Sequence[Row], second: str, others: Sequence[Row], metric: str
) -> Comparison:
    by_image = {row["image"]: row for row in others}
    missing = {row["image"] for row in rows} ^ set(by_image)
    if missing:
        raise ValueError(
            f"{first} and {second}: {len(missing)} cases are not in both, as {min(missing)}; "
            "compare runs on one test split"
        )
    pairs = [(row, by_image[row["image"]]) for row in rows]
    for name, row in ((first, pairs[0][0]), (second, pairs[0][1])):
        if not isinstance(row.get(metric), (int, float)):
            numbers = ", ".join(key for key, value in row.items() if isinstance(value, float))
            raise ValueError(f"{name}: has no '{metric}'; it has {numbers}")
    differences = np.array([other[metric] - row[metric] for row, other in pairs])
    patients = patients_of(rows)
    sums, counts = by_patient(differences, patients)
    per_patient = sums / counts  # images of one patient are no independent evidence
    p = float(wilcoxon(per_patient).pvalue) if per_patient.any() else 1.0
    return Comparison(
        first,
        second,
        bootstrap_interval(differences, patients),
        p,
        int((differences > 0).sum()),
        int((differences < 0).sum()),
        tuple(differences.tolist()),
    )


def comparison_table(
    found: Sequence[Comparison], metric: str, groups: Sequence[tuple[str, Comparison]] = ()
) -> list[dict[str, Any]]:
    """Return a row for each comparison, ready for a table: all cases first, then the groups."""
    return [
        {
            "cases of": of,
            "run": each.second,
            "against": each.first,
            f"difference in {metric}": round(each.difference.mean, 6),
            "low": each.difference.low,
            "high": each.difference.high,
            "p (Wilcoxon, Holm)": "too few to judge" if each.p is None else round(each.p, 6),
            "higher in": each.higher,
            "lower in": each.lower,
            "cases": each.difference.n,
            "patients": each.difference.patients,
        }
        for of, each in [*(("all", each) for each in found), *groups]
    ]


def comparison_plot(found: Sequence[Comparison], metric: str) -> Figure:
    """Draw the differences of all cases, a row for each comparison, with the mean's interval."""
    figure = Figure(figsize=(7, 1.2 + 0.7 * len(found)), layout="constrained")
    axes = figure.subplots()
    spread = np.random.default_rng(0)
    for row, each in enumerate(found):
        heights = row + spread.uniform(-0.18, 0.18, len(each.differences))
        axes.scatter(each.differences, heights, s=9, alpha=0.5, color="#3a6ea5")
        axes.plot(each.difference.mean, row, marker="D", color="#c8553d")
        if each.difference.low is not None and each.difference.high is not None:
            ends = [each.difference.low, each.difference.high]
            axes.plot(ends, [row, row], color="#c8553d", linewidth=2)
    axes.axvline(0, color="0.4", linestyle=":")
    axes.set_yticks(range(len(found)), [each.second for each in found])
    axes.set(
        xlabel=f"{metric} less that of {found[0].first}, case by case",
        ylim=(len(found) - 0.4, -0.6),
    )
    axes.grid(axis="x", alpha=0.25)
    return figure
