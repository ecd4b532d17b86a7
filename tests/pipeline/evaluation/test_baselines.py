import pytest
import torch

from pipeline.evaluation.baselines import best_intensity_threshold, constant_answer

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
