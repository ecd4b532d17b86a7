"""The papers' further measures, by hand."""

import numpy as np
import pytest
import torch

from pipeline.evaluation.cases import Case
from pipeline.metrics.isbi import isbi_scores
from pipeline.papers import epochs
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
    found = exact_8_bit(probability, label)
    assert found["exact_8_bit_label_resized"] == 1.0
    # between the columns the resized prediction is grey, 64 and 191
    assert found["exact_8_bit_prediction_resized"] == 0.5


def test_the_challenges_thresholds_are_chosen_on_validation():
    cells = torch.ones(1, 4, 9)
    cells[..., 4] = 0

    def case(inside, membrane):
        probability = torch.where(cells == 1, inside, membrane)
        return Case("a.png", cells[0], probability, cells)

    # on validation the cells part from 0.5 on; at 0.5 they are one on test
    found = challenge_scores([case(0.7, 0.45)], [case(0.7, 0.55)])
    merged = isbi_scores(np.ones((4, 9), bool), cells[0].numpy() != 0)
    assert found["rand_error_by_validation"] == [merged["rand_error"]]
    assert found["rand_error_by_validation"][0] > 0.3
    assert challenge_scores([case(0.7, 0.55)], [case(0.7, 0.55)])["rand_error_by_validation"] == [0]


def test_a_watershed_parts_cells_without_making_them_smaller():
    cells = torch.ones(1, 4, 9)
    cells[..., 4] = 0
    probability = torch.full((1, 4, 9), 0.65)  # the sides of the cells, and the membrane too
    probability[..., 1:3] = probability[..., 6:8] = 0.95
    probability[..., 4] = 0.35
    leaky = Case("a.png", cells[0], probability, cells)
    probability = probability.clone()
    probability[..., 0, 4] = 0.65  # a leak: at any threshold cells are one, or small
    leaky = leaky._replace(probability=probability)
    found = challenge_scores([leaky], [leaky])
    assert found["rand_error_watershed_by_validation"][0] < found["rand_error_by_validation"][0]


class Engine:
    """Gives the cases that its network decides."""

    def __init__(self, network, truth):
        self.network, self.truth = network, truth


@pytest.fixture
def engines(monkeypatch):
    """A network of one number: the probability of foreground in the left half of every image."""
    network = torch.nn.Linear(1, 1, bias=False)

    def cases(engine, columns=None):
        probability = torch.zeros(1, 2, 4)
        probability[..., :2] = float(engine.network.weight.detach())
        return [Case("a.png", probability[0], probability, engine.truth)]

    monkeypatch.setattr(epochs, "collect_cases", cases)
    left = torch.zeros(1, 2, 4)
    left[..., :2] = 1
    return network, Engine(network, left), Engine(network, torch.ones(1, 2, 4))


def test_epochs_and_thresholds_are_chosen_by_either_split(engines, tmp_path):
    network, validator, tester = engines
    for epoch, value in ((1, 0.2), (2, 0.6), (10, 0.4)):
        torch.save({"weight": torch.tensor([[value]])}, tmp_path / f"epoch={epoch}.pt")
    before = network.weight.detach().clone()
    found = epochs.by_epoch(validator, tester, tmp_path)
    assert found["curves"] == {
        "epoch": [1, 2, 10],
        "validation_accuracy": [0.5, 1.0, 0.5],  # at 1/2 epoch 2 alone finds the left half
        "test_accuracy": [0.0, 0.5, 0.0],
    }
    # on validation a perfect level exists in every epoch; the first is taken, and it gives half of
    # test, where level 0 calls everything foreground and is right
    assert found["scalars"]["accuracy_chosen_on_validation"] == 0.5
    assert found["scalars"]["epoch_chosen_on_validation"] == 1
    assert found["scalars"]["accuracy_chosen_on_test"] == 1.0
    assert found["scalars"]["level_chosen_on_test"] == 0
    assert found["scalars"]["validation_accuracy_of_the_last_epoch"] == 0.5
    assert found["scalars"]["test_accuracy_of_the_last_epoch"] == 0.0
    assert torch.equal(network.weight, before)


def test_no_epochs_no_curves(engines, tmp_path):
    assert epochs.by_epoch(*engines[1:], tmp_path / "none") == {}
