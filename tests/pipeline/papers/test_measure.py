"""The papers' further measures, by hand."""

import numpy as np
import pytest
import torch
from skimage.io import imread
from skimage.transform import resize

from pipeline.evaluation.cases import Case
from pipeline.metrics.isbi import isbi_scores
from pipeline.papers.epochs import by_epoch
from pipeline.papers.measure import challenge_scores, exact_8_bit


def test_grey_values_must_be_exactly_the_labels():
    probability = np.array([[0.001, 0.003, 0.5], [0.997, 0.9985, 1.0]])
    label = np.array([[False, False, False], [True, True, True]])
    # 0.26 -> 0, 0.77 -> 1, 128; 254.2 -> 254, 254.6 -> 255, 255
    assert exact_8_bit(probability, label) == {"exact_8_bit": 3 / 6}


def test_a_smaller_prediction_is_compared_in_two_ways():
    probability = np.array([[0.0, 1.0], [0.0, 1.0]])
    label = np.zeros((4, 4), bool)
    label[:, 2:] = True
    shares = exact_8_bit(probability, label)
    assert shares["exact_8_bit_label_resized"] == 1.0
    # between the columns the resized prediction is grey, 64 and 191
    assert shares["exact_8_bit_prediction_resized"] == 0.5


def test_shrinking_a_label_adds_no_white(real_data):
    # Liu, Shi and Chen, section V.A, suspect that it does, since the resized label scores higher
    labels = imread(real_data / "isbi2012" / "train-labels.tif") != 0
    shrunk = [resize(label, (256, 256), order=0, anti_aliasing=False) for label in labels]
    assert np.mean(shrunk) == pytest.approx(labels.mean(), abs=1e-3)


def test_the_papers_networks_score_as_the_answer_foreground_everywhere(real_data):
    # "Medical Image Segmentation Using U-Net", Tables I and II: iou_thresh of validation .7762
    labels = imread(real_data / "isbi2012" / "train-labels.tif") != 0
    assert np.mean(labels) == pytest.approx(0.7762, abs=5e-5)


def test_the_challenges_thresholds_are_chosen_on_validation():
    cells = torch.ones(1, 4, 9)
    cells[..., 4] = 0

    def case(inside, membrane):
        probability = torch.where(cells == 1, inside, membrane)
        return Case("a.png", cells[0], probability, cells)

    # on validation the cells part from 0.5 on; at 0.5 they are one on test
    scores = challenge_scores([case(0.7, 0.45)], [case(0.7, 0.55)])
    merged = isbi_scores(np.ones((4, 9), bool), cells[0].numpy() != 0)
    assert scores["rand_error_by_validation"] == [merged["rand_error"]]
    assert scores["rand_error_by_validation"][0] > 0.3
    assert challenge_scores([case(0.7, 0.55)], [case(0.7, 0.55)])["rand_error_by_validation"] == [0]


def test_a_watershed_separates_cells_without_making_them_smaller():
    cells = torch.ones(1, 4, 9)
    cells[..., 4] = 0
    probability = torch.full((1, 4, 9), 0.65)  # the sides of the cells, and the membrane too
    probability[..., 1:3] = probability[..., 6:8] = 0.95
    probability[..., 4] = 0.35
    leaky = Case("a.png", cells[0], probability, cells)
    probability = probability.clone()
    probability[..., 0, 4] = 0.65  # a leak: at any threshold cells are one, or small
    leaky = leaky._replace(probability=probability)
    scores = challenge_scores([leaky], [leaky])
    assert scores["rand_error_watershed_by_validation"][0] < scores["rand_error_by_validation"][0]


class Predictions:
    """One image in each split, whose cases the network decides."""

    def __init__(self, network, truths):
        self.network, self.truths = network, truths

    def cases(self, split):
        probability = torch.zeros(1, 2, 4)
        probability[..., :2] = float(self.network.weight.detach())
        return [Case("a.png", probability[0], probability, self.truths[split])]


@pytest.fixture
def predictions():
    """A network of one number: the probability of foreground in the left half of every image."""
    left = torch.zeros(1, 2, 4)
    left[..., :2] = 1
    truths = {"validation": left, "test": torch.ones(1, 2, 4)}
    return Predictions(torch.nn.Linear(1, 1, bias=False), truths)


def test_epochs_and_thresholds_are_chosen_by_either_split(predictions, tmp_path):
    for epoch, value in ((1, 0.2), (2, 0.6), (10, 0.4)):
        torch.save({"weight": torch.tensor([[value]])}, tmp_path / f"epoch={epoch}.pt")
    before = predictions.network.weight.detach().clone()
    summary = by_epoch(predictions, tmp_path)
    assert summary["curves"] == {
        "epoch": [1, 2, 10],
        "validation_accuracy": [0.5, 1.0, 0.5],  # at 1/2 epoch 2 alone finds the left half
        "test_accuracy": [0.0, 0.5, 0.0],
    }
    # on validation a perfect level exists in every epoch; the first is taken, and it gives half of
    # test, where level 0 calls everything foreground and is right
    assert summary["scalars"]["accuracy_chosen_on_validation"] == 0.5
    assert summary["scalars"]["epoch_chosen_on_validation"] == 1
    assert summary["scalars"]["accuracy_chosen_on_test"] == 1.0
    assert summary["scalars"]["level_chosen_on_test"] == 0
    assert summary["scalars"]["validation_accuracy_of_the_last_epoch"] == 0.5
    assert summary["scalars"]["test_accuracy_of_the_last_epoch"] == 0.0
    assert torch.equal(predictions.network.weight, before)


def test_no_epochs_no_curves(predictions, tmp_path):
    assert by_epoch(predictions, tmp_path / "none") == {}
