import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.metrics import DiceMetric, MeanIoU
from sklearn.metrics import accuracy_score

from pipeline.metrics.overlap import (
    Counts,
    accuracy,
    count,
    counted_pixels,
    dice,
    iou,
    soft_dice,
    soft_iou,
)

MASKS = st.lists(st.booleans(), min_size=12, max_size=12).map(
    lambda pixels: torch.tensor(pixels).reshape(1, 1, 3, 4)
)


def test_counts_by_hand():
    prediction = torch.tensor([[1, 1, 1], [0, 0, 0]])
    truth = torch.tensor([[1, 0, 0], [1, 1, 0]])
    assert count(prediction, truth) == Counts(tp=1, fp=2, fn=2, tn=1)


def test_metrics_by_hand():
    counts = Counts(tp=1, fp=2, fn=2, tn=1)
    assert iou(counts) == 1 / 5
    assert dice(counts) == 2 / 6
    assert accuracy(counts) == 2 / 6


def test_two_empty_masks_agree():
    empty = Counts(0, 0, 0, 4)
    assert iou(empty) == dice(empty) == accuracy(empty) == 1


def test_a_miss_scores_zero():
    assert iou(Counts(0, 0, 3, 1)) == dice(Counts(0, 0, 3, 1)) == 0


@given(prediction=MASKS, truth=MASKS)
def test_as_monai_and_scikit_learn_where_the_truth_is_not_empty(prediction, truth):
    counts = count(prediction, truth)
    if truth.any():
        pair = prediction.float(), truth.float()
        assert dice(counts) == pytest.approx(DiceMetric()(*pair).item())
        assert iou(counts) == pytest.approx(MeanIoU()(*pair).item())
    flat = accuracy_score(truth.flatten(), prediction.flatten())
    assert accuracy(counts) == pytest.approx(flat)


@given(prediction=MASKS, truth=MASKS)
def test_symmetric_and_bounded(prediction, truth):
    there, back = count(prediction, truth), count(truth, prediction)
    for metric in (iou, dice, accuracy):
        assert metric(there) == metric(back)
        assert 0 <= metric(there) <= 1
    assert iou(there) <= dice(there)


def test_shapes_must_match():
    with pytest.raises(ValueError, match=r"\(2,\), truth of \(3,\)"):
        count(torch.zeros(2), torch.zeros(3))


@pytest.mark.parametrize("metric", [count, soft_dice, soft_iou])
def test_pixels_with_a_truth_below_zero_are_left_out(metric):
    generator = torch.Generator().manual_seed(0)
    prediction = torch.rand(2, 30, generator=generator)
    truth = (torch.rand(2, 30, generator=generator) > 0.5).float()
    ignored = torch.rand(2, 30, generator=generator) > 0.7
    prediction = prediction if metric is not count else prediction > 0.5
    expected = metric(prediction[~ignored], truth[~ignored])
    assert metric(prediction, truth.masked_fill(ignored, -1)) == pytest.approx(expected)


def test_the_pixels_that_count_are_the_same_without_a_search():
    probability, truth = torch.rand(3, 4).T, torch.randint(0, 2, (3, 4)).T
    whole = counted_pixels(probability, truth)
    ignoring = [torch.cat([values, -torch.ones(1, 3)]) for values in (probability, truth)]
    assert all(map(torch.equal, whole, counted_pixels(*ignoring)))
