import pytest
import torch

from pipeline.evaluation.baselines import (
    best_intensity_scores,
    best_intensity_threshold,
    constant_answer,
)

TRUTH = torch.tensor([1, 1, 1, 0])


def test_all_foreground_by_hand():
    # 3 of 4 pixels are foreground: IoU 3/4, Dice 6/7, accuracy 3/4
    assert constant_answer([(torch.zeros(4), TRUTH)]) == pytest.approx(
        {"iou": 3 / 4, "dice": 6 / 7, "accuracy": 3 / 4}
    )


def test_it_is_the_mean_over_images():
    empty = torch.zeros(4, dtype=torch.int64)
    pairs = [(torch.zeros(4), TRUTH), (torch.zeros(4), empty)]
    assert constant_answer(pairs)["accuracy"] == pytest.approx(3 / 8)


@pytest.mark.parametrize("image", [[200, 210, 220, 100], [100, 90, 80, 200]])
def test_a_threshold_of_either_side_that_solves_it(image):
    _, accuracy = best_intensity_threshold([(torch.tensor(image), TRUTH)])
    assert accuracy == 1


def test_each_metric_has_its_own_best_threshold():
    """Truth at 40, 30 and 10 of 40, 30, 20, 10: from 30 up 2 of 3 hits, from 10 up one too many.

    IoU 2/3 or 3/4, Dice 4/5 or 6/7, accuracy 3/4 in both.
    """
    image, truth = torch.tensor([40, 30, 20, 10]), torch.tensor([1, 1, 0, 1])
    expected = {"iou": 3 / 4, "dice": 6 / 7, "accuracy": 3 / 4}
    assert best_intensity_scores([(image, truth)]) == pytest.approx(expected)
    assert best_intensity_scores([(255 - image, truth)]) == pytest.approx(expected)
