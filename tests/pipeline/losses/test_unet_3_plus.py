from math import log

import pytest
import torch
from monai.losses.focal_loss import sigmoid_focal_loss
from torch import nn

from pipeline.losses import (
    ClassificationGuidedLoss,
    DeepSupervisionLoss,
    PixelWeightedBCELoss,
    UNet3PlusLoss,
)
from pipeline.networks import UNet3Plus, UNetPlusPlus
from pipeline.training.weight_map import takes_weights

C1, C2 = 0.01**2, 0.03**2


def test_the_hybrid_loss_by_hand():
    """p = 1/2 on a full mask of 3 x 3, one scale.

    Focal (1 - 1/2)^2 log 2; MS-SSIM: no variance, luminance (2 * 1/2 + C1) / (1/4 + 1 + C1);
    IoU 1 - (9/2) / (9 + 9/2 - 9/2) = 1/2.
    """
    loss = UNet3PlusLoss(2, scales=1, window_size=3, smooth=0.0)
    value = loss(torch.zeros(1, 1, 3, 3), torch.ones(1, 1, 3, 3)).item()
    expected = log(2) / 4 + 1 - (1 + C1) / (1.25 + C1) + 1 / 2
    assert value == pytest.approx(expected, abs=1e-5)


def test_the_iou_is_averaged_over_images():
    # p = 1/2 on two pixels; image 1 full: I = 1, U = 2 + 1 - 1 = 2; image 2 half: I = 1/2, U = 3/2
    loss = UNet3PlusLoss(2, scales=1, window_size=1, smooth=0.0)
    target = torch.tensor([[1.0, 1.0], [1.0, 0.0]]).view(2, 1, 1, 2)
    value = loss.iou(torch.zeros(2, 1, 1, 2), target).item()
    assert value == pytest.approx(((1 - 1 / 2) + (1 - 1 / 3)) / 2)


def test_presence_costs_its_cross_entropy():
    # absent and present logits log 3 and -log 3: p = 3/4 and 1/4.
    # image 1 holds the class: targets 0 and 1: log 4 and log 4; image 2 does not: log(4/3) twice
    loss = ClassificationGuidedLoss(DeepSupervisionLoss(nn.BCEWithLogitsLoss(), [1.0]), 0.5)
    mask = torch.zeros(2, 1, 2, 2)
    mask[0, 0, 1, 1] = 1
    presence = torch.tensor([log(3), -log(3)]).view(1, 2, 1).expand(2, 2, 1)
    value = loss(([torch.zeros(2, 1, 2, 2)], presence), mask)
    assert value.item() == pytest.approx(log(2) + 0.5 * (log(4) + log(4 / 3)) / 2)


def test_presence_is_told_apart_by_class():
    loss = ClassificationGuidedLoss(nn.BCEWithLogitsLoss(), 1.0)
    mask = torch.zeros(1, 2, 2, 2)
    mask[0, 1] = 1  # class 0 is absent, class 1 present
    right = torch.tensor([[[100.0, -100.0], [-100.0, 100.0]]])
    heads = 200 * mask - 100
    assert loss((heads, right), mask).item() == pytest.approx(0, abs=1e-6)
    assert loss((heads, -right), mask).item() == pytest.approx(100)


def test_a_presence_that_does_not_fit_is_refused():
    loss = ClassificationGuidedLoss(nn.BCEWithLogitsLoss())
    logits = torch.zeros(1, 1, 2, 2)
    with pytest.raises(ValueError, match=r"presence: found shape \(1, 2\), expected \(1, 2, 1\); "):
        loss((logits, torch.zeros(1, 2)), logits)


def test_heads_are_weighed_one_by_one_and_share_the_map():
    target, weight = torch.ones(1, 1, 1, 2), torch.tensor([1.0, 3.0]).view(1, 1, 1, 2)
    heads = [torch.zeros(1, 1, 1, 2), torch.full((1, 1, 1, 2), log(3))]
    # head 1: log 2 on both pixels, (1 + 3) / 2 of it; head 2: log(4/3), likewise
    loss = DeepSupervisionLoss(PixelWeightedBCELoss(), [1.0, 0.25])
    value = loss(heads, target, weight).item()
    assert value == pytest.approx(2 * log(2) + 0.25 * 2 * log(4 / 3))
    assert loss(heads[1], target, weight).item() == pytest.approx(2 * log(4 / 3))


@pytest.mark.parametrize(("heads", "shares"), [(1, [1]), (3, [4 / 7, 2 / 7, 1 / 7])])
def test_without_weights_each_head_has_half_of_the_one_before(heads, shares):
    losses = [5.0, 2.0, 11.0][:heads]
    prediction = [torch.tensor([value]) for value in losses]
    value = DeepSupervisionLoss(nn.L1Loss())(prediction, torch.zeros(1)).item()
    assert value == pytest.approx(sum(a * b for a, b in zip(shares, losses, strict=True)))


def test_another_number_of_heads_than_weights_is_refused():
    loss = DeepSupervisionLoss(nn.L1Loss(), [1.0, 0.5])
    head = torch.zeros(1, 1, 2, 2)
    with pytest.raises(ValueError, match=r"found 3 heads, expected 2; give head_weights") as error:
        loss([head] * 3, head)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_they_fit_the_networks(mode):
    image = torch.randn(2, 1, 32, 32)
    mask = (image > 0).float()
    segmentation = UNet3PlusLoss(2, scales=1)
    for network, loss in (
        (
            UNetPlusPlus(2, 1, 1, (2, 3, 4), deep_supervision=True),
            DeepSupervisionLoss(segmentation, [1.0, 1.0]),
        ),
        (
            UNet3Plus(
                2, 1, 1, (2, 3, 4, 5, 6), 2, deep_supervision=True, classification_guided=True
            ),
            ClassificationGuidedLoss(DeepSupervisionLoss(segmentation, [1.0] * 5)),
        ),
    ):
        network.train(mode == "train")
        assert loss(network(image), mask).isfinite()


def test_a_weight_map_acts_on_the_means_over_pixels():
    """A map of ones changes nothing; one of threes adds two focal losses."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 44, 44, generator=generator)
    mask = (torch.rand(2, 1, 44, 44, generator=generator) > 0.5).float()
    loss = UNet3PlusLoss(2, scales=2)
    ones = torch.ones(2, 1, 44, 44)
    torch.testing.assert_close(loss(logits, mask, ones), loss(logits, mask))
    focal = sigmoid_focal_loss(logits, mask, 2.0).mean()
    # an average weighted by 3 everywhere is the same average
    torch.testing.assert_close(loss(logits, mask, 3 * ones), loss(logits, mask) + 2 * focal)
    assert takes_weights(DeepSupervisionLoss(loss, [1.0]))
