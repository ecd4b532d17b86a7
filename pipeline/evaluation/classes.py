"""The scores of each of several labels: a row for a class, a column for a score."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.evaluation.cases import OUTCOME
from pipeline.evaluation.score_words import SURFACE_DICE_NAME
from pipeline.evaluation.summary import EvaluationSummary

CLASSES = "classes.csv"
HEADINGS = {
    "dice": "Dice", "iou": "IoU", "sensitivity": "sensitivity", "precision": "precision",
    "hd95_mm": "HD95, mm", "hd95_px": "HD95, px", "asd_mm": "ASD, mm", "asd_px": "ASD, px",
}  # fmt: skip
"""Of the scores in the table of a page, in its order; surface Dice at any tolerance beside them."""


class ClassScores(NamedTuple):
    """A row of the table of classes.

    Attributes:
        name: of the label.
        scores: mean of each score over the images, by its name as in a heading.
        threshold: of the label.
        postprocessing: of its mask, in words.
        outcomes: how many images the label was found in, missed in, ….
    """

    name: str
    scores: dict[str, float]
    threshold: float
    postprocessing: str
    outcomes: dict[str, int]


def class_table(
    summary: EvaluationSummary, rows: Sequence[Mapping[str, Any]], labels: Sequence[str]
) -> list[ClassScores]:
    """Return a row for each of several labels: its main scores, and what became of it.

    Args:
        summary: of the evaluation.
        rows: of the cases.
        labels: their names; empty where there is one.
    """
    return [
        ClassScores(
            label,
            _in_headings(scores_of(summary, label)),
            summary.operating_point.of_label(label).threshold,
            str(summary.operating_point.of_label(label).postprocessing),
            dict(Counter(row[f"{OUTCOME}_{label}"] for row in rows)),
        )
        for label in labels
    ]


def _in_headings(scores: Mapping[str, float]) -> dict[str, float]:
    headings = dict(HEADINGS)
    for name in scores:
        if match := SURFACE_DICE_NAME.fullmatch(name):
            headings[name] = f"surface Dice, {match[1]} mm"
    return {heading: scores[name] for name, heading in headings.items() if name in scores}


def class_rows(summary: EvaluationSummary, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row for each label: threshold, post-processing, every score, and its volumes."""
    volumes = {volume.structure: volume for volume in summary.volumes}
    rows = []
    for label in labels:
        point = summary.operating_point.of_label(label)
        row: dict[str, Any] = {"class": label, "threshold": point.threshold}
        row |= {"postprocessing": str(point.postprocessing), **scores_of(summary, label)}
        stated = volumes[label].model_dump(exclude={"structure"})
        rows.append(row | {f"volume_{name}": value for name, value in stated.items()})
    return rows


def scores_of(summary: EvaluationSummary, label: str) -> dict[str, float]:
    """Return the mean of each score of a label over the images, by the name of the score."""
    named = {name: summary.test.get(f"{name}_{label}") for name in summary.test}
    return {name: score.mean for name, score in named.items() if score is not None}
