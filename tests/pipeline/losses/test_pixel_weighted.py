from math import exp, log

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pipeline.losses import PixelWeightedBCELoss, PixelWeightedCrossEntropyLoss

LOG_3 = log(3)  # sigmoid(log 3) = 3/4


def row(*values):
    """An image of one row, ``(1, 1, 1, n)``."""
    return torch.tensor(values).view(1, 1, 1, -1)


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [
        # p = 3/4 on both; pixel 1, background: -log(1/4), map 1; pixel 2, foreground: -log(3/4),
        # map 5
        ("sum", log(4) + 5 * log(4 / 3)),
        ("mean", (log(4) + 5 * log(4 / 3)) / 2),
        ("weighted_mean", (log(4) + 5 * log(4 / 3)) / 6),
    ],
)
def test_bce_under_a_map(reduction, expected):
    loss = PixelWeightedBCELoss(reduction=reduction)
    value = loss(row(LOG_3, LOG_3), row(0.0, 1.0), row(1.0, 5.0))
    assert value.item() == pytest.approx(expected)


def test_bce_with_class_weights_under_a_map():
    # background 2 * log 4 * 1, foreground 3 * log(4/3) * 5; weights 2 * 1 + 3 * 5 = 17
    arguments = row(LOG_3, LOG_3), row(0.0, 1.0), row(1.0, 5.0)
    weighted = 2 * log(4) + 15 * log(4 / 3)
    assert PixelWeightedBCELoss((2.0, 3.0))(*arguments).item() == pytest.approx(weighted / 2)
    mean = PixelWeightedBCELoss(torch.tensor([2.0, 3.0]), reduction="weighted_mean")
    assert mean(*arguments).item() == pytest.approx(weighted / 17)


def test_bce_without_weights_and_with_class_weights_is_torchs():
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 4, 5), torch.rand(2, 3, 4, 5)
    expected = F.binary_cross_entropy_with_logits(logits, target)
    torch.testing.assert_close(PixelWeightedBCELoss()(logits, target), expected)
    with_pos_weight = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.97))(logits, target)
    torch.testing.assert_close(PixelWeightedBCELoss((1.0, 2.97))(logits, target), with_pos_weight)


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [
        # three classes, logits (0, log 2, 0): p = 1/4, 1/2, 1/4.
        # pixel 1, class 1: log 2, class weight 3, map 1
        # pixel 2, class 2: log 4, class weight 5, map 2
        ("sum", 3 * log(2) + 10 * log(4)),
        ("mean", (3 * log(2) + 10 * log(4)) / 2),
        ("weighted_mean", (3 * log(2) + 10 * log(4)) / 13),
    ],
)
def test_cross_entropy_with_class_weights_under_a_map(reduction, expected):
    logits = torch.tensor([0.0, log(2), 0.0]).view(1, 3, 1, 1).expand(1, 3, 1, 2)
    loss = PixelWeightedCrossEntropyLoss((1.0, 3.0, 5.0), reduction)
    value = loss(logits, row(1, 2), row(1.0, 2.0))
    assert value.item() == pytest.approx(expected)


@pytest.mark.parametrize("sides", [(5, 6), (3, 4, 5)])
def test_cross_entropy_is_torchs_without_a_map(sides):
    torch.manual_seed(0)
    logits, classes = torch.randn(2, 4, *sides), torch.randint(0, 4, (2, 1, *sides))
    weights = torch.tensor([0.5, 1.0, 2.0, 4.0])
    torch.testing.assert_close(
        PixelWeightedCrossEntropyLoss()(logits, classes), F.cross_entropy(logits, classes[:, 0])
    )
    torch.testing.assert_close(
        PixelWeightedCrossEntropyLoss(weights, "weighted_mean")(logits, classes.float()),
        F.cross_entropy(logits, classes[:, 0], weight=weights),
    )


def test_two_classes_of_a_softmax_are_one_of_a_sigmoid():
    torch.manual_seed(0)
    logits, mask, weight = (
        torch.randn(2, 1, 4, 4),
        torch.randint(0, 2, (2, 1, 4, 4)),
        torch.rand(2, 1, 4, 4),
    )
    two = torch.cat([torch.zeros_like(logits), logits], dim=1)
    torch.testing.assert_close(
        PixelWeightedCrossEntropyLoss((0.3, 0.7))(two, mask, weight),
        PixelWeightedBCELoss((0.3, 0.7))(logits, mask, weight),
    )


def test_a_map_weighs_gradients_pixel_by_pixel():
    logits = row(0.0, 0.0, 0.0).requires_grad_()
    PixelWeightedBCELoss(reduction="sum")(logits, row(1.0, 1.0, 0.0), row(0.0, 4.0, 2.0)).backward()
    assert logits.grad.flatten().tolist() == [0.0, -2.0, 1.0]  # w (p - y)


@pytest.mark.parametrize("loss", [PixelWeightedBCELoss(), PixelWeightedCrossEntropyLoss()])
def test_a_map_of_zeros_costs_nothing(loss):
    loss = type(loss)(reduction="weighted_mean")
    logits = torch.zeros(1, 1 if isinstance(loss, PixelWeightedBCELoss) else 2, 2, 2)
    zeros = torch.zeros(1, 1, 2, 2)
    assert loss(logits, zeros, zeros).item() == 0


@pytest.mark.parametrize("loss", [PixelWeightedBCELoss(), PixelWeightedCrossEntropyLoss()])
def test_a_map_of_another_shape_is_refused_in_one_line(loss):
    logits = torch.zeros(1, 1 if isinstance(loss, PixelWeightedBCELoss) else 2, 4, 4)
    message = r"weight: found a map of shape \(1, 4, 4\), expected \(1, 1, 4, 4\); "
    with pytest.raises(ValueError, match=message) as error:
        loss(logits, torch.zeros(1, 1, 4, 4), torch.ones(1, 4, 4))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            row(0, 3),
            r"found values from 0 to 3, expected whole class numbers from 0 to 2; renumber",
        ),
        (row(-1, 0), r"found values from -1 to 0, expected"),
        (row(0.0, 0.5), r"found fractional values from 0 to 0\.5, expected whole"),
        (torch.zeros(1, 1, 2), r"found shape \(1, 1, 2\), expected \(1, 1, 1, 2\); "),
    ],
)
def test_values_outside_the_classes_are_refused_in_one_line(target, message):
    with pytest.raises(ValueError, match=message) as error:
        PixelWeightedCrossEntropyLoss()(torch.zeros(1, 3, 1, 2), target)
    assert "\n" not in str(error.value)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"class_weights: found 3, expected 2; "):
        PixelWeightedBCELoss((1.0, 2.0, 3.0))
    with pytest.raises(ValueError, match=r"class_weights: found 2, expected 3; "):
        PixelWeightedCrossEntropyLoss((1.0, 2.0))(torch.zeros(1, 3, 1, 1), row(0))
    with pytest.raises(ValueError, match=r"reduction: found 'none', expected one of mean"):
        PixelWeightedBCELoss(reduction="none")


def test_extreme_logits_cost_their_distance():
    # wrong by 100: -log sigmoid(-100) = 100 + log(1 + exp(-100))
    value = PixelWeightedBCELoss()(row(-100.0), row(1.0))
    assert value.item() == pytest.approx(100 + log(1 + exp(-100)))
