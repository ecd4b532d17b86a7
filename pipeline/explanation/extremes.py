"""Which images to look at: the best and the worst of each group."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Row = Mapping[str, Any]
MOST = 12
"""Values that a column of groups may have; each stands for two images that are explained."""


class Extreme(NamedTuple):
    """An image to look at.

    Attributes:
        image: its name.
        why: of which groups it is the best or the worst, in words.
        value: its metric.
    """

    image: str
    why: tuple[str, ...]
    value: float


def extremes(
    rows: Sequence[Row], columns: Sequence[str], metric: str, lower_is_better: bool = False
) -> list[Extreme]:
    """Choose the best and the worst image of every value of every group column.

    "A look into U-Net" explains these of male, female, normal and abnormal (its Figs 5 and 6). One
    image may stand for several groups, as its worst male and worst normal one does.

    Args:
        rows: the per-image table of an evaluation.
        columns: of groups; none: the best and the worst of all.
        metric: name of a score.
        lower_is_better: whether it is an error or a distance.

    Returns:
        Each image once, the worst of each group before its best.

    Raises:
        ValueError: a column of so many values that it is no group.

    Example:
        >>> rows = [{"image": "a", "iou": 0.7, "sex": "male"}, {"image": "b", "iou": 0.9,
        ...     "sex": "male"}, {"image": "c", "iou": 0.8, "sex": "female"}]
        >>> [(each.image, each.why) for each in extremes(rows, ["sex"], "iou")]
        [('c', ('worst female', 'best female')), ('a', ('worst male',)), ('b', ('best male',))]
    """
    chosen: dict[str, list[str]] = {}
    values = {str(row["image"]): float(row[metric]) for row in rows}
    for name, members in _groups(rows, columns) or [("of all", rows)]:
        order = sorted(members, key=lambda row: (row[metric], str(row["image"])))
        for which, row in (("worst", order[0]), ("best", order[-1])):
            which = {"worst": "best", "best": "worst"}[which] if lower_is_better else which
            chosen.setdefault(str(row["image"]), []).append(f"{which} {name}")
    return [Extreme(image, tuple(why), values[image]) for image, why in chosen.items()]


def _groups(rows: Sequence[Row], columns: Sequence[str]) -> list[tuple[str, Sequence[Row]]]:
    """Each value of each column with its images; named with the column if two share a value."""
    values = {column: sorted({row[column] for row in rows}, key=str) for column in columns}
    for column, of_column in values.items():
        if len(of_column) > MOST:
            raise ValueError(
                f"group column '{column}': found {len(of_column)} values, expected at most {MOST}; "
                "give a column of few, as sex"
            )
    times = Counter(value for of_column in values.values() for value in of_column)
    return [
        (
            str(value) if times[value] == 1 else f"{column} {value}",
            [row for row in rows if row[column] == value],
        )
        for column, of_column in values.items()
        for value in of_column
    ]
