import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.ndimage import label as components
from skimage.metrics import adapted_rand_error

from pipeline.metrics.isbi import HIGHER_IS_BETTER, THRESHOLDS, IsbiCurve, isbi_scores
from pipeline.metrics.rand import thinned


@pytest.fixture
def truth():
    """Four cells and the membranes between them."""
    truth = np.ones((21, 21), bool)
    truth[10], truth[:, 10] = False, False
    return truth


def test_a_perfect_mask_is_perfect(truth):
    for name, value in isbi_scores(truth, truth).items():
        assert value == (1 if HIGHER_IS_BETTER.get(name) else 0), name


def test_a_leak_of_one_pixel(truth):
    mask = truth.copy()
    mask[10, 5] = True
    scores = isbi_scores(mask, truth)
    assert scores["warping_mergers"] == 1
    assert scores["warping_splits"] == 0
    assert scores["pixel_error"] == pytest.approx(1 / 441)
    assert scores["warping_error"] == pytest.approx(1 / 441)
    assert scores["pixel_error_f"] == pytest.approx(1 / 801)  # 2 tp + fp + fn = 2 * 400 + 1
    # of 4 segments of 100 pixels two are one: pairs 4 * 100^2, predicted 200^2 + 2 * 100^2
    assert scores["v_rand_thinned"] == pytest.approx(2 * 4 / (4 + 6))
    assert scores["rand_error"] == pytest.approx(1 - scores["v_rand"])


def test_segments_that_are_given_are_scored_instead_of_the_components(truth):
    mask = truth.copy()
    mask[10, 5] = True
    closed = components(truth)[0]
    closed[10, 5] = 1  # the leak belongs to the cell above it
    leaking, scores = isbi_scores(mask, truth), isbi_scores(mask, truth, closed)
    assert scores["v_rand_thinned"] == 1
    assert leaking["v_rand_thinned"] < 1
    assert scores["pixel_error"] == leaking["pixel_error"]
    assert scores["warping_mergers"] == leaking["warping_mergers"] == 1


def test_rand_is_near_scikit_images_where_no_membrane_is_left(truth):
    mask = gaussian_filter(np.random.default_rng(0).normal(size=truth.shape), 1.5) > -0.4
    error, _, _ = adapted_rand_error(components(truth)[0], thinned(components(mask)[0]))
    # which leaves out the pairs of a pixel with itself, one of the pairs of 400 pixels each
    assert isbi_scores(mask, truth)["v_rand_thinned"] == pytest.approx(1 - error, abs=1 / 100)


def test_all_inside_and_all_membrane(truth):
    assert isbi_scores(np.ones_like(truth), truth)["warping_mergers"] == 3
    empty = isbi_scores(np.zeros_like(truth), truth)
    assert empty["pixel_error"] == pytest.approx(400 / 441)
    assert 0 < empty["v_rand"] < 0.05


def test_the_curve_is_the_mean_over_slices_and_its_best_is_of_that(truth):
    leaking = np.where(truth, 0.9, 0.25)
    leaking[10, 5] = 0.65
    sharp = np.where(truth, 0.6, 0.1)
    curve = IsbiCurve()
    for probability in (leaking, sharp):
        curve.add(probability.astype(np.float32), truth)
    values = curve.values("v_rand_thinned")
    for i, threshold in enumerate(THRESHOLDS):
        each = [isbi_scores(p >= threshold, truth)["v_rand_thinned"] for p in (leaking, sharp)]
        assert values[i] == pytest.approx(np.mean(each))
    best = curve.best()["v_rand_thinned"]
    # no threshold is right for both: 0.7 loses the second, 0.6 leaks in the first
    assert best == {"value": pytest.approx((0.8 + 1) / 2), "threshold": 0.5}


def test_a_threshold_counts_what_is_at_it():
    curve = IsbiCurve()
    curve.add(np.full((3, 3), 0.3, np.float32), np.ones((3, 3), bool))
    assert curve.values("pixel_error")[[2, 3, 4]].tolist() == [0, 0, 1]


def test_what_is_no_probability():
    with pytest.raises(ValueError, match=r"outside \[0, 1\]"):
        IsbiCurve().add(np.full((2, 2), np.nan), np.ones((2, 2), bool))
