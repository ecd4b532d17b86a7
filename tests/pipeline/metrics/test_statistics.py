import math

import numpy as np
import pytest
from scipy import stats

from pipeline.metrics.statistics import (
    bootstrap_interval,
    holm,
    permutation_test,
    sign_flip_test,
)


def test_an_interval_is_near_the_normal_one_for_many_patients():
    values = np.random.default_rng(0).normal(0.9, 0.05, 400)
    interval = bootstrap_interval(values)
    half = 1.96 * values.std(ddof=1) / math.sqrt(400)
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_agrees_with_scipys_percentile_bootstrap():
    values = np.random.default_rng(1).beta(9, 1, 40)
    reference = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000
    ).confidence_interval
    interval = bootstrap_interval(values, resamples=20_000)
    assert (interval.low, interval.high) == pytest.approx((reference.low, reference.high), abs=2e-3)


def test_images_of_one_patient_are_no_evidence_of_their_own():
    values = np.random.default_rng(2).normal(0.9, 0.05, 20)
    ten_times = np.repeat(values, 10)
    patients = np.repeat(np.arange(20), 10).tolist()
    alone, grouped = bootstrap_interval(values), bootstrap_interval(ten_times, patients)
    assert (grouped.low, grouped.high) == pytest.approx((alone.low, alone.high))
    assert (grouped.n, grouped.patients) == (200, 20)
    careless = bootstrap_interval(ten_times)
    assert careless.high - careless.low < 0.5 * (alone.high - alone.low)


def test_it_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    inside = 0
    for trial in range(200):
        interval = bootstrap_interval(rng.exponential(1.0, 60), resamples=400, seed=trial)
        inside += interval.low <= 1 <= interval.high
    assert 0.88 <= inside / 200 <= 0.98


def test_one_patient_has_no_interval():
    interval = bootstrap_interval([0.5, 0.7], ["a", "a"])
    assert (interval.mean, interval.n, interval.patients) == (0.6, 2, 1)
    assert interval.low is interval.high is None


def test_a_permutation_test_against_all_permutations():
    first, second = [0.9, 0.8, 0.85, 0.95], [0.7, 0.75, 0.82]
    exact = stats.permutation_test(
        (first, second), lambda a, b: abs(np.mean(a) - np.mean(b)), alternative="greater"
    ).pvalue
    assert permutation_test(first, second) == pytest.approx(exact, abs=0.01)


def test_equal_groups_are_rarely_told_apart():
    rng = np.random.default_rng(4)
    p_values = [permutation_test(rng.normal(size=15), rng.normal(size=20), 500) for _ in range(200)]
    assert 0.01 <= np.mean(np.array(p_values) < 0.05) <= 0.11


def test_holm_by_hand_and_against_its_properties():
    assert holm([0.2]) == [0.2]
    assert holm([0.04, 0.5, 0.6]) == [0.12, 1.0, 1.0]
    p = np.random.default_rng(5).random(9) / 5
    corrected = np.array(holm(p.tolist()))
    assert (corrected >= p).all()
    assert (np.diff(corrected[np.argsort(p)]) >= 0).all()


@pytest.mark.parametrize(
    ("values", "patients", "message"),
    [
        ([], None, "no value"),
        ([0.5, float("nan")], None, "1 of 2 values are NaN"),
        ([0.5], ["a", "b"], "found 2 patients for 1 values"),
    ],
)
def test_mistakes(values, patients, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(values, patients)
    with pytest.raises(ValueError, match="a group without a value"):
        permutation_test([], [1.0])


def test_signs_are_flipped_as_in_scipys_paired_test():
    differences = np.random.default_rng(6).normal(0.3, 1, 10)
    exact = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", alternative="two-sided"
    ).pvalue
    assert sign_flip_test(differences) == pytest.approx(exact, abs=0.015)
    with pytest.raises(ValueError, match="no difference"):
        sign_flip_test([])
