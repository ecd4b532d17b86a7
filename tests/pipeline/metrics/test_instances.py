import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from skimage.metrics import contingency_table as contingency_table_of_scikit_image

from pipeline.metrics.contingency import contingency_table
from pipeline.metrics.instances import (
    Confusions,
    confusions,
    f1,
    instance_scores,
    match,
    panoptic_quality,
    per_hundred_touching,
    touching,
)

LABEL = arrays.arrays(np.int64, (4, 6), elements=st.integers(0, 5))


@given(LABEL, LABEL)
def test_the_contingency_table_agrees_with_scikit_image(truth, prediction):
    rows, columns = (np.unique(label) for label in (truth, prediction))
    sparse = contingency_table_of_scikit_image(truth, prediction, sparse_type="array")
    expected = sparse.toarray()[np.ix_(rows, columns)]
    table = contingency_table(truth, prediction)
    first, second = int(0 not in rows), int(0 not in columns)
    np.testing.assert_array_equal(table[first:, second:], expected)
    assert table.sum() == truth.size


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint64])
@pytest.mark.parametrize("step", [1, 3])
def test_small_numbers_of_any_type_count_as_well(dtype, step):
    truth = (np.arange(80 * 80) // 80 * step).astype(dtype)
    prediction = (np.arange(80 * 80) % 80 * step).astype(dtype)
    assert np.array_equal(contingency_table(truth, prediction), np.ones((80, 80)))
    assert np.array_equal(contingency_table(truth[:3] + 5, prediction[:3]), [[0, 0, 0], [1, 1, 1]])


@given(LABEL, LABEL)
def test_matches_are_those_of_the_table_of_all_pairs(truth, prediction):
    true = [truth == number for number in np.unique(truth[truth > 0])]
    predicted = [prediction == number for number in np.unique(prediction[prediction > 0])]
    ious = [(one & other).sum() / (one | other).sum() for one in true for other in predicted]
    for iou in (0.5, 0.75):
        matched = [value for value in ious if value > iou]
        tp = len(matched)
        expected = (tp, len(predicted) - tp, len(true) - tp, pytest.approx(sum(matched)))
        assert match(contingency_table(truth, prediction), iou) == expected


@given(LABEL)
def test_a_perfect_prediction_is_perfect_whatever_its_numbers(truth):
    shared = contingency_table(truth, np.where(truth > 0, 90 - 7 * truth, 0))
    matches = match(shared)
    assert (matches.fp, matches.fn) == (0, 0)
    assert f1(matches) == panoptic_quality(matches) == 1
    assert confusions(shared) == Confusions(0, 0)


@given(LABEL, LABEL)
def test_truth_and_prediction_change_places(truth, prediction):
    there, back = (contingency_table(*pair) for pair in ((truth, prediction), (prediction, truth)))
    assert f1(match(there)) == f1(match(back))
    assert confusions(there) == Confusions(*reversed(confusions(back)))


def test_a_row_of_instances_by_hand():
    #                      found    merged          split        missed
    truth = np.array([1, 1, 0, 2, 2, 0, 3, 3, 0, 4, 4, 4, 4, 0, 5])
    prediction = np.array([7, 7, 0, 8, 8, 8, 8, 8, 0, 9, 9, 0, 6, 0, 0])
    shared = contingency_table(truth, prediction)
    # IoU 1 of instance 1; 2 of 5 twice; exactly 2 of 4, which is not more than half
    matches = match(shared)
    assert matches == (1, 3, 4, 1.0)
    assert f1(matches) == pytest.approx(2 / 9)
    assert panoptic_quality(matches) == pytest.approx(1 / 4.5)
    assert confusions(shared) == Confusions(merges=1, splits=1)


def test_nothing_and_nothing():
    empty = np.zeros((3, 3), int)
    assert f1(match(contingency_table(empty, empty))) == 1
    assert f1(match(contingency_table(empty + 1, empty))) == 0


def test_user_errors():
    one = np.ones(3, int)
    with pytest.raises(ValueError, match=r"prediction of shape \(2,\), truth of \(3,\)"):
        contingency_table(one, one[:2])
    with pytest.raises(ValueError, match="expected whole numbers"):
        contingency_table(one, one / 2)
    with pytest.raises(ValueError, match=r"iou: found 0\.3"):
        match(contingency_table(one, one), 0.3)


def test_touching_counts_instances_and_not_borders():
    label = np.array([[1, 1, 0, 3, 0], [0, 0, 2, 0, 0], [5, 0, 0, 0, 4]])
    # 1, 2 and 3 meet at corners; 4 and 5 are alone
    assert touching(label) == 3
    assert touching(np.zeros((3, 3), int)) == 0


def test_two_instances_merged():
    truth = np.array([[1, 1, 1, 2, 2, 2]] * 3)
    merged = instance_scores(truth, np.ones_like(truth))
    assert (merged["f1"], merged["merges"], merged["touching"]) == (0, 1, 2)
    # pairs of pixels: 81 in each true instance, 324 in the merged one: 2 * 162 / (162 + 324)
    assert merged["v_rand"] == pytest.approx(2 / 3)


def test_images_are_pooled_by_their_touching_instances():
    rows = [{"merges": 1, "splits": 0, "touching": 1}, {"merges": 1, "splits": 2, "touching": 9}]
    pooled = per_hundred_touching(rows)
    assert pooled == {"merges_per_100_touching": 20.0, "splits_per_100_touching": 20.0}
    assert per_hundred_touching([{"merges": 0, "splits": 0, "touching": 0}]) == {}


def test_an_image_without_instances():
    empty = np.zeros((4, 4), int)
    scores = instance_scores(empty, empty)
    assert (scores["f1"], scores["v_rand"], scores["touching"]) == (1, 1, 0)
