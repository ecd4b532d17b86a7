"""Conformal risk control: the bound holds in expectation, and is not idle."""

import numpy as np
import pytest

from pipeline.metrics.risk_control import controlled_level, patients_needed

LEVELS = np.linspace(0, 1, 101)


def losses_of(rng: np.random.Generator, n: int) -> np.ndarray:
    """Losses that grow with the level, each patient in an own way."""
    return LEVELS[None] ** rng.uniform(0.5, 4, (n, 1))


@pytest.mark.parametrize("bound", [0.05, 0.2])
@pytest.mark.parametrize("n", [19, 40])
def test_the_expected_loss_of_a_further_patient_is_bounded_and_near_the_bound(bound, n):
    """Theorems 1 and 2 of Angelopoulos et al. 2022: from bound - 2 / (n + 1) to bound."""
    rng, further = np.random.default_rng(0), []
    for _ in range(1000):
        losses = losses_of(rng, n + 1)
        further.append(losses[-1, controlled_level(losses[:-1], bound)])
    error = 3 * np.std(further) / np.sqrt(len(further))
    assert bound - 2 / (n + 1) - 0.01 - error < np.mean(further) < bound + error


def test_it_is_the_highest_level_by_the_definition():
    losses = losses_of(np.random.default_rng(1), 30)
    holds = [t for t in range(len(LEVELS)) if 30 / 31 * losses[:, t].mean() + 1 / 31 <= 0.1]
    assert controlled_level(losses, 0.1) == max(holds)


@pytest.mark.parametrize("bound", [0.01, 0.05, 0.1, 0.3, 0.5])
def test_one_patient_fewer_than_needed_says_nothing(bound):
    n = patients_needed(bound)
    assert controlled_level(np.zeros((n, 3)), bound) == 2
    assert n == 1 or controlled_level(np.zeros((n - 1, 3)), bound) is None


@pytest.mark.parametrize("losses", [np.zeros((0, 3)), [[0, 1.2]], [[-0.1, 0]], [[0.2, 0.1]]])
def test_other_losses_are_refused(losses):
    with pytest.raises(ValueError, match="losses from 0 to 1 of at least one patient"):
        controlled_level(losses, 0.1)
