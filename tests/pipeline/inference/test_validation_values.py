"""How values of validation patients are kept, and compared with."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from pipeline.inference.validation_values import Distribution, structure_values


def test_the_test_is_that_of_the_samples_at_the_cuts_and_never_bolder():
    rng = np.random.default_rng(0)
    usual = rng.normal(size=100)
    known = Distribution.of(usual)
    assert known.n == 100
    assert len(known.cuts) == 19
    assert known.counts[0] == 5
    for moved in (0.0, 0.5, 1.0, 3.0):
        week = rng.normal(moved, size=30)
        exact = ks_2samp(usual, week).pvalue
        assert exact - 1e-9 <= known.p_value(week)
    assert known.p_value(rng.normal(3, size=30)) < 1e-9


def test_without_a_shift_alarms_are_no_more_frequent_than_promised():
    rng, level = np.random.default_rng(1), 0.05
    pairs = ((Distribution.of(rng.normal(size=60)), rng.normal(size=15)) for _ in range(1000))
    alarms = sum(known.p_value(week) <= level for known, week in pairs)
    assert 5 <= alarms <= 1000 * level + 3 * (1000 * level * (1 - level)) ** 0.5


def test_a_constant_has_one_cut_and_anything_above_it_is_apart():
    known = Distribution.of([0.742187512345] * 40)
    assert (len(known.cuts), sum(known.counts)) == (1, 40)
    assert known.p_value([0.742187512345] * 5) == 1
    assert known.p_value([0.9] * 5) < 1e-5


def test_quantiles_are_cuts():
    known = Distribution.of(list(range(101)))
    assert [known.quantile(share) for share in (0.05, 0.5, 0.95, 1.0)] == [5, 50, 95, 95]


def test_sizes_are_in_the_first_unit_and_of_a_page():
    stated = {"cell": {"pixels": 60, "number": 1}, "node": {"voxels": 9, "ml": 0.5}}
    assert structure_values(stated, pages=3) == {
        "size of cell, pixels": 20,
        "size of node, ml": pytest.approx(0.5 / 3),
    }
