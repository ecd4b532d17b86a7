"""Soft Dice as the papers have it: MONAI's, whose value is worked out here, and UNet++'s loss."""

from math import log

import pytest
import torch
from monai.losses import DiceCELoss, DiceLoss

from pipeline.losses import BCEDiceLoss

LOG_3 = log(3)  # sigmoid(log 3) = 3/4

# image 1: p = 3/4, 1/4; y = 1, 0: sum y p = 3/4, sum y + sum p = 2
# image 2: p = 1/2, 1/2; y = 1, 1: sum y p = 1,   sum y + sum p = 3
LOGITS = torch.tensor([[LOG_3, -LOG_3], [0.0, 0.0]]).view(2, 1, 1, 2)
TARGET = torch.tensor([[1.0, 0.0], [1.0, 1.0]]).view(2, 1, 1, 2)
# -log(3/4) twice in image 1, -log(1/2) twice in image 2
BCE = (log(4 / 3) + log(2)) / 2


@pytest.mark.parametrize(
    ("batch", "smooth", "expected"),
    [
        (True, 0.0, 1 - 2 * 1.75 / 5),
        (True, 1.0, 1 - (2 * 1.75 + 1) / (5 + 1)),
        (False, 0.0, 1 - (1.5 / 2 + 2 / 3) / 2),
        (False, 1.0, 1 - (2.5 / 3 + 3 / 4) / 2),
    ],
)
def test_monais_dice_is_the_papers(batch, smooth, expected):
    loss = DiceLoss(sigmoid=True, batch=batch, smooth_nr=smooth, smooth_dr=smooth)
    assert loss(LOGITS, TARGET).item() == pytest.approx(expected)


def test_bce_and_dice():
    expected = BCE / 2 + 1 - (1.5 / 2 + 2 / 3) / 2
    assert BCEDiceLoss(smooth=0.0)(LOGITS, TARGET).item() == pytest.approx(expected)
    together = BCE / 2 + 1 - 2 * 1.75 / 5
    assert BCEDiceLoss(smooth=0.0, batch_dice=True)(LOGITS, TARGET).item() == pytest.approx(
        together
    )
    expected = 2 * BCE + 1 - (2.5 / 3 + 3 / 4) / 2
    assert BCEDiceLoss(bce_weight=2.0, smooth=1.0)(LOGITS, TARGET).item() == pytest.approx(expected)


def test_the_cross_entropy_is_whole():
    """Equation 1 as printed has no (1 - y) term: foreground on background would cost it nothing."""
    background = torch.zeros(1, 1, 2, 2)
    cost = BCEDiceLoss()(torch.full((1, 1, 2, 2), 100.0), background).item()
    assert cost == pytest.approx(100 / 2 + 1, abs=1e-3)


def test_the_map_weighs_the_cross_entropy_alone():
    weight = torch.tensor([[1.0, 1.0], [3.0, 3.0]]).view(2, 1, 1, 2)
    expected = (log(4 / 3) + 3 * log(2)) / 2 / 2 + 1 - (1.5 / 2 + 2 / 3) / 2
    assert BCEDiceLoss(smooth=0.0)(LOGITS, TARGET, weight).item() == pytest.approx(expected)


def test_one_label_is_monais_sum_and_several_labels_stay_independent():
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 4, 4), torch.randint(0, 2, (2, 3, 4, 4)).float()
    loss = BCEDiceLoss()
    monai = DiceCELoss(sigmoid=True, lambda_ce=0.5)
    single = [loss(logits[:, k : k + 1], target[:, k : k + 1]) for k in range(3)]
    torch.testing.assert_close(single[0], monai(logits[:, :1], target[:, :1]))
    torch.testing.assert_close(loss(logits, target), sum(single) / 3)


def test_whole_cross_entropy_and_dice_by_batch_are_monais_for_one_label():
    """Of several labels MONAI's cross-entropy is of classes, ours of each label."""
    monai = DiceCELoss(sigmoid=True, batch=True)
    ours = BCEDiceLoss(bce_weight=1.0, batch_dice=True)
    torch.testing.assert_close(ours(LOGITS, TARGET), monai(LOGITS, TARGET))
