"""How many of the worst cases a review finds that begins with the lowest expected Dice."""

import math
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from pipeline.evaluation.cases import Case, Row, Scoring
from pipeline.inference.confidence import DiceEstimate, confidence
from pipeline.inference.review import review_key
from pipeline.inference.structures import FOREGROUND

MIN_CASES = 10
"""Cases below which nothing is said of the worst tenth."""
REVIEWED = (0.1, 0.2)
"""Shares of the cases that are looked at."""


class ReviewScore(BaseModel):
    """How many of the worst tenth of the cases stand at the head of the review queue.

    Attributes:
        cases: in the queue.
        worst: how many are the worst tenth, by the Dice of their worst structure.
        reviewed: cases at the head of the queue: 10 and 20 %.
        hits: how many of the worst are among them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    cases: int
    worst: int
    reviewed: list[int]
    hits: list[int]

    def line(self) -> str:
        """Return what it says in one line.

        Example:
            >>> ReviewScore(cases=113, worst=12, reviewed=[12, 23], hits=[8, 11]).line()
            'of the 12 worst of 113 cases, a look at 12 finds 8, at 23 finds 11'
        """
        looks = [f"{n} finds {k}" for n, k in zip(self.reviewed, self.hits, strict=True)]
        return f"of the {self.worst} worst of {self.cases} cases, a look at {', at '.join(looks)}"


def review_score(expected: Sequence[float | None], true: Sequence[float]) -> ReviewScore | None:
    """Count the worst cases at the head of the queue.

    Args:
        expected: the lowest expected Dice of a case's structures; None: nothing was found in it,
            and it stands first.
        true: the lowest true one.

    Returns:
        None: there are too few cases.

    Example:
        >>> review_score([0.9, 0.5, *[0.8] * 8], [0.95, 0.2, *[0.9] * 8]).hits
        [1, 1]
        >>> review_score([0.9], [0.9]) is None
        True
    """
    if len(true) < MIN_CASES:
        return None
    head = [math.ceil(share * len(true)) for share in REVIEWED]
    worst = set(sorted(range(len(true)), key=lambda i: true[i])[: head[0]])
    queue = sorted(range(len(true)), key=lambda i: review_key(expected[i]))
    hits = [len(worst & set(queue[:n])) for n in head]
    return ReviewScore(cases=len(true), worst=head[0], reviewed=head, hits=hits)


def lowest_expected(
    case: Case, scoring: Scoring, estimates: Mapping[str, DiceEstimate], labels: Sequence[str] = ()
) -> float | None:
    """Return the lowest Dice to expect of a case's structures; None: nothing was found in it.

    Args:
        case: with probabilities.
        scoring: how its masks are made.
        estimates: by label; a label without one is expected to have what its probabilities promise.
        labels: names of the labels; none: the one is foreground.
    """
    masks, _ = scoring.masks_of(case)
    values = []
    triples = zip(list(labels) or [FOREGROUND], masks, case.probability.numpy(), strict=True)
    for name, mask, probability in triples:
        own = confidence(mask, probability)
        estimate = estimates.get(name)
        value = own.probable_dice if estimate is None else estimate.expected_dice(own)
        values += [] if value is None else [value]
    return min(values, default=None)


def lowest_true(row: Row, labels: Sequence[str] = ()) -> float:
    """Return the lowest Dice of a case's structures.

    Args:
        row: its scores.
        labels: names of the labels; none: there is one.

    Example:
        >>> lowest_true({"dice": 0.7, "dice_liver": 0.9, "dice_tumour": 0.5}, ["liver", "tumour"])
        0.5
    """
    return min(float(row[f"dice_{name}"]) for name in labels) if labels else float(row["dice"])
