import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.metrics import variation_of_information
from sklearn.metrics.cluster import pair_confusion_matrix

from pipeline.metrics.rand import rand_scores, thinned

LABELS = arrays(np.int64, (6, 7), elements=st.integers(0, 4))
FULL = arrays(np.int64, (6, 7), elements=st.integers(1, 5))


def test_by_hand():
    # pairs (true, predicted): (1, 1) 2, (1, 2) 1, (2, 2) 1; n = 4
    scores = rand_scores(np.array([1, 1, 1, 2]), np.array([1, 1, 2, 2]))
    assert scores.v_rand == pytest.approx(2 * (4 + 1 + 1) / ((4 + 4) + (9 + 1)))
    assert scores.v_rand_split == pytest.approx(6 / 10)
    assert scores.v_rand_merge == pytest.approx(6 / 8)
    h_true = -(3 / 4 * np.log(3 / 4) + 1 / 4 * np.log(1 / 4))
    joint = -(1 / 2 * np.log(1 / 2) + 2 * 1 / 4 * np.log(1 / 4))
    information = h_true + np.log(2) - joint
    assert scores.v_info == pytest.approx(2 * information / (h_true + np.log(2)))


def test_predicted_background_is_segments_of_one_pixel():
    one = rand_scores(np.array([1, 1, 1]), np.array([0, 0, 5]))
    other = rand_scores(np.array([1, 1, 1]), np.array([7, 8, 5]))
    assert one == other


@settings(max_examples=60)
@given(FULL, FULL)
def test_agrees_with_scikit_learn_and_scikit_image_where_no_background_is(truth, prediction):
    scores, n = rand_scores(truth, prediction), truth.size
    pairs = pair_confusion_matrix(truth.ravel(), prediction.ravel())  # of different pixels
    both, true_alone, predicted_alone = pairs[1, 1] + n, pairs[1, 0], pairs[0, 1]
    assert scores.v_rand_split == pytest.approx(both / (both + true_alone))
    assert scores.v_rand_merge == pytest.approx(both / (both + predicted_alone))
    assert scores.v_rand == pytest.approx(2 * both / (2 * both + true_alone + predicted_alone))
    shares = np.unique(truth, return_counts=True)[1] / n
    h_true = -(shares * np.log2(shares)).sum()
    _, lost = variation_of_information(truth, prediction)  # bits of the truth that are lost
    if h_true > 0:
        assert scores.v_info_merge == pytest.approx(1 - lost / h_true, abs=1e-9)


@given(LABELS)
def test_a_perfect_prediction_is_perfect(truth):
    assert rand_scores(truth, truth) == pytest.approx((1.0,) * 6)


@given(LABELS, LABELS, st.permutations(range(1, 5)))
def test_the_numbers_of_segments_mean_nothing(truth, prediction, order):
    renamed = np.array([0, *order])[prediction]
    assert rand_scores(truth, renamed) == pytest.approx(rand_scores(truth, prediction))


@given(FULL, FULL)
def test_exchanging_both_exchanges_split_and_merge(truth, prediction):
    one, other = rand_scores(truth, prediction), rand_scores(prediction, truth)
    assert one.v_rand == pytest.approx(other.v_rand)
    assert one.v_info == pytest.approx(other.v_info)
    assert one.v_rand_split == pytest.approx(other.v_rand_merge)


@given(LABELS)
def test_thinning_leaves_no_background_and_no_segment_smaller(segments):
    thin = thinned(segments)
    assert (thin > 0).all() or not segments.any()
    assert (thin[segments > 0] == segments[segments > 0]).all()


def test_the_width_of_a_border_does_not_matter_when_thinned():
    truth = np.repeat([[1, 1, 1, 1, 0, 2, 2, 2, 2]], 5, axis=0)
    wide = np.where(np.isin(np.arange(9), (3, 4, 5)), 0, truth)
    assert rand_scores(truth, wide).v_rand < 0.95
    assert rand_scores(truth, thinned(wide)).v_rand == 1


def test_shapes_differ():
    with pytest.raises(ValueError, match="expected one shape"):
        rand_scores(np.ones((2, 2), int), np.ones((2, 3), int))
