"""How sure a network is, by hand and against the definition."""

import numpy as np
import pytest
from scipy.stats import entropy

from pipeline.inference.confidence import Confidence, DiceEstimate, confidence, entropies
from pipeline.inference.label_masks import most_probable


def test_the_entropy_is_that_of_two_outcomes():
    probability = np.array([0.0, 0.1, 0.5, 0.9, 1.0])
    expected = [entropy([p, 1 - p], base=2) for p in probability]
    assert entropies(probability) == pytest.approx(expected)


def test_the_probable_dice_is_the_mean_over_drawn_truths():
    """If each pixel is foreground as often as its probability says."""
    rng = np.random.default_rng(0)
    probability = np.clip(rng.beta(0.3, 0.6, (40, 50)), 0, 1)
    mask = probability >= 0.5
    truths = rng.random((400, 40, 50)) < probability
    dice = 2 * (truths & mask).sum((1, 2)) / (truths.sum((1, 2)) + mask.sum())
    assert confidence(mask, probability).probable_dice == pytest.approx(dice.mean(), abs=2e-3)


def test_of_several_labels_the_probabilities_are_those_of_the_winner():
    probabilities = np.array([[0.9, 0.6, 0.2], [0.7, 0.8, 0.4]])
    above = [lambda label: label >= 0.5] * 2
    winner, (a, b) = most_probable(iter(probabilities), (4, 9), above)
    assert winner.tolist() == [4, 9, 0]
    assert (a.pixels, a.within, a.everywhere) == (1, 0.9, pytest.approx(1.7))
    assert (b.pixels, b.within, b.everywhere) == (1, 0.8, pytest.approx(1.9))


def test_nothing_is_known_of_an_empty_mask():
    own = confidence(np.zeros(3, bool), np.full(3, 0.2))
    assert (own.mean_probability, own.mean_entropy, own.probable_dice) == (None, None, None)
    assert DiceEstimate(bias=0, sd=0, n=9).expected_dice(own) is None


def test_pages_add_up():
    rng = np.random.default_rng(0)
    probability = rng.random((2, 6, 7))
    mask = probability > 0.4
    pages = [confidence(*page) for page in zip(mask, probability, strict=True)]
    whole, joint = confidence(mask, probability), pages[0] + pages[1]
    assert vars(joint) == pytest.approx(vars(whole))
    assert vars(joint + Confidence.of_none()) == vars(joint)
