"""Whether one model is better than another: case by case, on the same cases."""

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.data.columns import check_columns
from pipeline.evaluation.groups import MIN_PATIENTS, Gap, gaps
from pipeline.metrics.statistics import (
    Interval,
    bootstrap_interval,
    by_patient,
    holm,
    patients_of,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
        >>> (comparison,) = compare({"a": first, "b": second}, "dice")
        >>> round(comparison.difference.mean, 4), comparison.higher, comparison.p < 0.001
        (0.0095, 19, True)
    """
    (name, rows), *others = _at_least_two(runs).items()
    return _corrected([_compare(name, rows, other, table, metric) for other, table in others])


def compare_groups(
    runs: Mapping[str, Sequence[Row]], columns: Sequence[str], metric: str
) -> list[tuple[str, Comparison]]:
    """Compare every later run with the first one within each group.

    It shows what a change did for those whom it was made for: balanced training for the smaller
    groups, for example. The probabilities are corrected for all comparisons of groups together.

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
        >>> comparisons = compare_groups({"a": rows, "b": better}, ["sex"], "dice")
        >>> [(group, round(one.difference.mean, 3)) for group, one in comparisons]
        [('sex f', 0.05), ('sex m', 0.0)]
    """
    (name, rows), *others = _at_least_two(runs).items()
    check_columns(rows, columns)
    comparisons: list[tuple[str, Comparison]] = []
    for other, table in others:
        for group, members in _groups(rows, columns):
            images = {row["image"] for row in members}
            same = [row for row in table if row["image"] in images]
            comparison = _compare(name, members, other, same, metric)
            enough = comparison.difference.patients >= MIN_PATIENTS
            comparisons.append((group, comparison if enough else comparison._replace(p=None)))
    corrected = _corrected([comparison for _, comparison in comparisons])
    groups = [group for group, _ in comparisons]
    return list(zip(groups, corrected, strict=True))


def gap_changes(
    first: Sequence[Row], second: Sequence[Row], columns: Sequence[str], metric: str
) -> list[Gap]:
    """Test whether the gap between two groups differs between two runs.

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
    scores = {row["image"]: row[metric] for row in second}
    gains = [{**row, metric: scores[row["image"]] - row[metric]} for row in first]
    return gaps(gains, columns, metric)


def _corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    p_values = iter(holm([one.p for one in comparisons if one.p is not None]))
    return [one if one.p is None else one._replace(p=next(p_values)) for one in comparisons]


def _groups(rows: Sequence[Row], columns: Sequence[str]) -> list[tuple[str, list[Row]]]:
    groups: list[tuple[str, list[Row]]] = []
    for size in range(1, len(columns) + 1):
        for chosen in itertools.combinations(columns, size):
            members: dict[str, list[Row]] = defaultdict(list)
            for row in rows:
                members[", ".join(f"{name} {row[name]}" for name in chosen)].append(row)
            groups += sorted(members.items())
    return groups


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
    from scipy.stats import wilcoxon  # slow to import, and a training imports this module

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
    comparisons: Sequence[Comparison], metric: str, groups: Sequence[tuple[str, Comparison]] = ()
) -> list[dict[str, Any]]:
    """Return a row for each comparison, ready for a table: all cases first, then the groups."""
    return [
        {
            "cases of": of,
            "run": one.second,
            "against": one.first,
            f"difference in {metric}": round(one.difference.mean, 6),
            "low": one.difference.low,
            "high": one.difference.high,
            "p (Wilcoxon, Holm)": "too few to judge" if one.p is None else round(one.p, 6),
            "higher in": one.higher,
            "lower in": one.lower,
            "cases": one.difference.n,
            "patients": one.difference.patients,
        }
        for of, one in [*(("all", one) for one in comparisons), *groups]
    ]


def comparison_plot(comparisons: Sequence[Comparison], metric: str) -> "Figure":
    """Draw the differences of all cases, a row for each comparison, with the mean's interval."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1.2 + 0.7 * len(comparisons)), layout="constrained")
    axes = figure.subplots()
    spread = np.random.default_rng(0)
    for row, one in enumerate(comparisons):
        heights = row + spread.uniform(-0.18, 0.18, len(one.differences))
        axes.scatter(one.differences, heights, s=9, alpha=0.5, color="#3a6ea5")
        axes.plot(one.difference.mean, row, marker="D", color="#c8553d")
        if one.difference.low is not None and one.difference.high is not None:
            ends = [one.difference.low, one.difference.high]
            axes.plot(ends, [row, row], color="#c8553d", linewidth=2)
    axes.axvline(0, color="0.4", linestyle=":")
    axes.set_yticks(range(len(comparisons)), [one.second for one in comparisons])
    axes.set(
        xlabel=f"{metric} less that of {comparisons[0].first}, case by case",
        ylim=(len(comparisons) - 0.4, -0.6),
    )
    axes.grid(axis="x", alpha=0.25)
    return figure
