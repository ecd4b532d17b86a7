import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import label

from pipeline.evaluation.threshold import InstanceCurve, ThresholdCurve
from pipeline.metrics.overlap import METRICS, count

IMAGES = st.lists(st.tuples(st.integers(0, 255), st.booleans()), min_size=1, max_size=30).map(
    lambda rows: [torch.tensor(column) for column in zip(*rows, strict=True)]
)


@given(images=st.lists(IMAGES, min_size=1, max_size=3), metric=st.sampled_from(sorted(METRICS)))
def test_the_curve_is_the_metric_at_each_threshold(images, metric):
    curve = ThresholdCurve()
    for level, truth in images:
        curve.add(level / 255, truth)
    values = curve.values(metric)
    for k in (0, 1, 87, 128, 254, 255):
        scores = [METRICS[metric](count(level / 255 >= k / 255, truth)) for level, truth in images]
        assert values[k] == pytest.approx(np.mean(scores))


def test_the_best_of_equal_thresholds_is_nearest_to_one_half():
    curve = ThresholdCurve()
    curve.add(torch.tensor([0.1, 0.9]), torch.tensor([0, 1]))
    assert curve.best("iou") == pytest.approx(0.5, abs=1 / 255)


def test_a_shifted_prediction_moves_the_threshold():
    curve = ThresholdCurve()
    probability = torch.linspace(0, 0.6, 1000)
    curve.add(probability, probability >= 0.3)
    assert curve.best("accuracy") == pytest.approx(0.3, abs=1 / 255)


def components(probability, threshold):
    return label(probability >= threshold)[0]


def test_cells_ask_for_another_threshold_than_pixels():
    """Below 0.65 two cells are one, above 0.75 a third of each is lost: IoU 2/3, F1 still 1."""
    row = torch.tensor([[0.9, 0.9, 0.75, 0.62, 0.75, 0.9, 0.9]])
    cells = torch.tensor([[1, 1, 1, 0, 2, 2, 2]])
    curve = InstanceCurve(components)
    curve.add(row, cells)
    f1 = dict(zip(curve.thresholds.round(2).tolist(), curve.values("f1").tolist(), strict=True))
    assert (f1[0.6], f1[0.65], f1[0.9], f1[0.95]) == (0, 1, 1, 0)
    assert curve.best("f1") == pytest.approx(0.65)
    pq = curve.values("pq")
    assert pq[curve.thresholds > 0.85][0] == pytest.approx(2 / 3)


@pytest.mark.parametrize("bad", [1.1, -0.1, float("nan")])
def test_probabilities_only(bad):
    with pytest.raises(ValueError, match="outside"):
        ThresholdCurve().add(torch.tensor([0.5, bad]), torch.tensor([0, 1]))


def test_shapes_must_match():
    with pytest.raises(ValueError, match="expected one shape"):
        ThresholdCurve().add(torch.zeros(2), torch.zeros(3))


def test_no_image():
    with pytest.raises(ValueError, match="validation split is empty"):
        ThresholdCurve().best("iou")
    with pytest.raises(ValueError, match="validation split is empty"):
        InstanceCurve(components).best("f1")


def test_what_is_ignored_has_no_part_in_the_threshold():
    probability = torch.linspace(0, 1, 101)
    truth = (probability >= 0.3).int()
    ignored, remaining = ThresholdCurve(), ThresholdCurve()
    ignored.add(probability, truth.masked_fill(probability > 0.8, -1))
    remaining.add(probability[probability <= 0.8], truth[probability <= 0.8])
    for metric in METRICS:
        assert ignored.values(metric).tolist() == remaining.values(metric).tolist()
