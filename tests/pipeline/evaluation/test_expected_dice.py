"""The Dice to expect is right on average over further cases of the same kind."""

import numpy as np
import pytest
import torch

from pipeline.evaluation.cases import Case, Scoring, table
from pipeline.evaluation.expected_dice import dice_estimates
from pipeline.inference import OperatingPoint
from pipeline.inference.confidence import confidence

SCORING = Scoring(OperatingPoint())


def made_cases(number, seed, trust):
    """Return cases whose probabilities claim too much: a pixel is foreground at ``trust`` x p."""
    rng = np.random.default_rng(seed)
    cases = []
    for i in range(number):
        probability = rng.beta(0.3, 0.9, (1, 30, 30))
        truth = rng.random(probability.shape) < trust * probability
        tensors = torch.from_numpy(probability), torch.from_numpy(truth)
        cases.append(Case(f"{i}", tensors[0][0], *tensors))
    return cases


@pytest.mark.parametrize("trust", [1.0, 0.7])
def test_it_is_learnt_on_validation_and_holds_on_test(trust):
    (estimate,) = dice_estimates(made_cases(40, 0, trust), SCORING, ["lung"]).values()
    assert (abs(estimate.bias) < 0.01) == (trust == 1)
    test = made_cases(40, 1, trust)
    errors = []
    for case, row in zip(test, table(test, SCORING), strict=True):
        mask = SCORING.masks_of(case)[0][0]
        expected = estimate.expected_dice(confidence(mask, case.probability[0].numpy()))
        errors.append(row["dice"] - expected)
    assert np.mean(errors) == pytest.approx(0, abs=0.01)
    assert np.std(errors) == pytest.approx(estimate.sd, rel=0.5)


def test_an_empty_mask_says_nothing():
    empty = torch.full((1, 4, 4), 0.1)
    cases = [Case(str(i), empty[0], empty, torch.ones(1, 4, 4)) for i in range(9)]
    assert dice_estimates(cases, SCORING) == {}
    (estimate,) = dice_estimates([*cases, *made_cases(3, 0, 1)], SCORING).values()
    assert estimate.n == 3
