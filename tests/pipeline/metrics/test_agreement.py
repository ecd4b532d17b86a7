"""Bland and Altman's limits against values worked by hand, and against the definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics.agreement import bland_altman


def test_by_hand():
    """-2, 0, 2, 4: mean 1; squared deviations 9 + 1 + 1 + 9 = 20, over 3; 1.96 x 2.58199."""
    agreement = bland_altman([-2, 0, 2, 4])
    assert agreement.bias == 1
    assert agreement.low == pytest.approx(1 - 5.060699, abs=1e-6)
    assert agreement.high == pytest.approx(1 + 5.060699, abs=1e-6)
    assert agreement.n == 4


@given(st.lists(st.floats(-1e3, 1e3), min_size=2))
def test_the_limits_surround_the_bias(differences):
    bias, low, high, n = bland_altman(differences)
    assert low <= bias + 1e-9
    assert high >= bias - 1e-9
    assert (low + high) / 2 == pytest.approx(bias, abs=1e-6)
    assert n == len(differences)


def test_about_95_percent_of_further_errors_lie_within():
    errors = np.random.default_rng(0).normal(0.3, 2, 40_000)
    _, low, high, _ = bland_altman(errors[:2000])
    assert np.mean((errors[2000:] > low) & (errors[2000:] < high)) == pytest.approx(0.95, abs=0.01)


def test_one_difference_has_no_limits():
    assert bland_altman([3.0]) == (3.0, None, None, 1)


@pytest.mark.parametrize("wrong", [[], [1.0, np.nan], [np.inf]])
def test_no_numbers_are_refused(wrong):
    with pytest.raises(ValueError, match=r"expected at least one|expected numbers"):
        bland_altman(wrong)
