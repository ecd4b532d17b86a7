import numpy as np

from pipeline.explanation.group_profiles import largest_difference


def test_a_planted_difference_is_found_and_named():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 5))
    groups = ["male"] * 20 + ["female"] * 20
    values[:20, 3] += 2
    found = largest_difference(values, groups)
    assert found.number == 3
    assert found.p == 1 / 1001
    assert found.high - found.low > 1


def test_the_largest_of_many_numbers_is_no_evidence():
    """Each of 20 numbers is tested: chance alone must not be taken for a difference."""
    seen = 0
    for trial in range(40):
        values = np.random.default_rng(trial).normal(size=(20, 20))
        seen += largest_difference(values, ["a", "b"] * 10, resamples=99).p <= 0.05
    assert seen <= 6


def test_the_share_by_hand():
    """Means 1 and 4 of two and two: between 2 x 1.5^2 x 2 = 9, whole 9 + 1 / 2 + 1 / 2 = 10."""
    found = largest_difference(np.array([[0.5], [1.5], [3.5], [4.5]]), ["a", "a", "b", "b"])
    assert found.share == 0.9
    assert (found.low, found.high) == (1.0, 4.0)


def test_a_constant_number_and_a_group_of_one_are_left_out():
    values = np.array([[1.0], [1.0], [1.0], [1.0], [9.0]])
    found = largest_difference(values, ["a", "a", "b", "b", "c"])
    assert (found.share, found.p) == (0.0, 1.0)
    assert largest_difference(values, ["a", "a", "a", "b", "c"]) is None
