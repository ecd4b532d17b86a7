"""How many of the worst cases stand first in the review queue."""

import pytest
import torch

from pipeline.evaluation.cases import Case, Scoring
from pipeline.evaluation.review import lowest_expected, review_score
from pipeline.inference.confidence import DiceEstimate
from pipeline.inference.operating_point import OperatingPoint


def test_the_worst_are_counted_at_the_head_of_the_queue():
    """Of 20 cases the two worst: one expected worst, one expected fifth worst."""
    true = [0.9] * 20
    expected = [0.8 + i / 100 for i in range(20)]
    true[0], true[4] = 0.1, 0.2
    score = review_score(expected, true)
    assert (score.worst, score.reviewed, score.hits) == (2, [2, 4], [1, 1])
    expected[4] = None  # nothing was found in it
    assert review_score(expected, true).hits == [2, 2]


def test_the_lowest_structure_counts_and_an_absent_one_does_not():
    maps = torch.tensor([[[0.9, 0.9]], [[0.1, 0.6]], [[0.1, 0.1]]])
    case = Case("a.png", maps[0], maps, torch.zeros_like(maps))
    scoring = Scoring(OperatingPoint(), ["a", "b", "c"], overlapping=True)
    estimates = {"a": DiceEstimate(bias=-0.5, sd=0.1, n=9)}
    # a: 2 x 1.8 / (2 + 1.8) - 0.5; b: 2 x .6 / (1 + .7)
    assert lowest_expected(case, scoring, {}, scoring.labels) == pytest.approx(1.2 / 1.7)
    assert lowest_expected(case, scoring, estimates, scoring.labels) == pytest.approx(
        3.6 / 3.8 - 0.5
    )
    empty = case._replace(probability=maps * 0.1)
    assert lowest_expected(empty, scoring, {}, scoring.labels) is None
