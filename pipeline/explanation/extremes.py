"""The images to explain: the best and the worst of each group."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Row = Mapping[str, Any]
MAX_GROUP_VALUES = 12
"""Values that a group column may have; for each of them two images are explained."""


class Extreme(NamedTuple):
    """An image to explain.

    Attributes:
        image: name of the image.
        why: reasons in words, such as ``worst male``.
        value: metric of the image.
    """

    image: str
    why: tuple[str, ...]
    value: float


def extremes(
    rows: Sequence[Row], columns: Sequence[str], metric: str, lower_is_better: bool = False
) -> list[Extreme]:
    """Choose the best and the worst image of every value of every group column.

    "A look into U-Net" explains those of male, female, normal and abnormal (its Figs 5 and 6). One
    image may be an extreme of several groups, as the paper's worst male is also its worst normal
    image.

    Args:
        rows: per-image table of an evaluation.
        columns: group columns; empty: the best and the worst of all images.
        metric: name of a score.
        lower_is_better: whether the score is an error or a distance.

    Returns:
        Each image once; of each group the lowest value comes before the highest.

    Raises:
        ValueError: a column with too many values to be a group.

    Example:
        >>> rows = [{"image": "a", "iou": 0.7, "sex": "male"}, {"image": "b", "iou": 0.9,
        ...     "sex": "male"}, {"image": "c", "iou": 0.8, "sex": "female"}]
        >>> [(extreme.image, extreme.why) for extreme in extremes(rows, ["sex"], "iou")]
        [('c', ('worst female', 'best female')), ('a', ('worst male',)), ('b', ('best male',))]
    """
    reasons: dict[str, list[str]] = {}
    values = {str(row["image"]): float(row[metric]) for row in rows}
    lowest, highest = ("best", "worst") if lower_is_better else ("worst", "best")
    for name, members in _groups(rows, columns) or [("of all", rows)]:
        order = sorted(members, key=lambda row: (row[metric], str(row["image"])))
        for which, row in ((lowest, order[0]), (highest, order[-1])):
            reasons.setdefault(str(row["image"]), []).append(f"{which} {name}")
    return [Extreme(image, tuple(why), values[image]) for image, why in reasons.items()]


def _groups(rows: Sequence[Row], columns: Sequence[str]) -> list[tuple[str, Sequence[Row]]]:
    """Return each value of each column with its rows; two equal values get their column's name."""
    values = {column: sorted({row[column] for row in rows}, key=str) for column in columns}
    for column, of_column in values.items():
        if len(of_column) > MAX_GROUP_VALUES:
            raise ValueError(
                f"group column '{column}': found {len(of_column)} values, expected at most "
                f"{MAX_GROUP_VALUES}; give a column with few values, as sex"
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
