"""What every loss must pass; a loss joins by one line in LOSSES."""

import pytest
import torch
from monai.losses import DiceLoss
from torch import nn

from pipeline.losses import (
    BCEDiceLoss,
    ClassificationGuidedLoss,
    DeepSupervisionLoss,
    IgnoringLoss,
    MSSSIMLoss,
    PixelWeightedBCELoss,
    PixelWeightedCrossEntropyLoss,
    UNet3PlusLoss,
)

CLASS_NUMBERS, MASKS = "class numbers", "masks"
SMALL = {"scales": 2, "window_size": 3}
LOSSES = {
    "cross-entropy": (PixelWeightedCrossEntropyLoss(), CLASS_NUMBERS),
    "cross-entropy, class weights, weighted mean": (
        PixelWeightedCrossEntropyLoss((0.5, 2.0), reduction="weighted_mean"),
        CLASS_NUMBERS,
    ),
    "BCE": (PixelWeightedBCELoss(), MASKS),
    "BCE, class weights, sum": (PixelWeightedBCELoss((0.5, 2.0), reduction="sum"), MASKS),
    "BCE + Dice": (BCEDiceLoss(), MASKS),
    "BCE + Dice by batch": (BCEDiceLoss(1.0, batch_dice=True), MASKS),
    "MS-SSIM": (MSSSIMLoss(2, **SMALL), MASKS),
    "UNet 3+": (UNet3PlusLoss(2, **SMALL), MASKS),
    "torch: BCE, pos_weight": (nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.97)), MASKS),
    "MONAI: Dice per batch": (DiceLoss(sigmoid=True, batch=True), MASKS),
    "MONAI: Dice per image": (DiceLoss(sigmoid=True), MASKS),
}
LOSSES_3D = {
    "cross-entropy": (PixelWeightedCrossEntropyLoss(), CLASS_NUMBERS),
    "BCE": (PixelWeightedBCELoss((0.5, 2.0)), MASKS),
    "BCE + Dice": (BCEDiceLoss(), MASKS),
    "UNet 3+": (UNet3PlusLoss(3, **SMALL), MASKS),
}


def pair(kind, sides, seed=0):
    """Logits and a target of random classes, in double precision."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(0, 2, (2, 1, *sides), generator=generator).double()
    channels = 2 if kind == CLASS_NUMBERS else 1
    logits = torch.randn(2, channels, *sides, generator=generator, dtype=torch.float64)
    return logits.requires_grad_(), target


@pytest.mark.parametrize(("loss", "kind"), LOSSES.values(), ids=LOSSES.keys())
def test_gradient_in_two_dimensions(loss, kind):
    logits, target = pair(kind, (6, 7))
    assert torch.autograd.gradcheck(lambda z: loss(z, target), (logits,))


@pytest.mark.parametrize(("loss", "kind"), LOSSES_3D.values(), ids=LOSSES_3D.keys())
def test_gradient_in_three_dimensions(loss, kind):
    logits, target = pair(kind, (5, 6, 5))
    assert torch.autograd.gradcheck(lambda z: loss(z, target), (logits,), fast_mode=True)


@pytest.mark.parametrize(("loss", "kind"), LOSSES.values(), ids=LOSSES.keys())
@pytest.mark.parametrize("logit", [-100.0, 0.0, 100.0])
@pytest.mark.parametrize("mask", [0.0, 1.0])
def test_finite_on_empty_and_full_masks_and_on_extreme_logits(loss, kind, logit, mask):
    channels = 2 if kind == CLASS_NUMBERS else 1
    logits = torch.full((2, channels, 8, 8), logit)
    logits[:, 0] = -logit if channels == 2 else logit
    logits.requires_grad_()
    value = loss(logits, torch.full((2, 1, 8, 8), mask))
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()
    right = mask == (logit > 0)
    if logit:
        assert (value < 1e-3) == right


@pytest.mark.parametrize(("loss", "kind"), list(LOSSES.values())[:7], ids=list(LOSSES)[:7])
def test_half_precision_logits_count_in_single(loss, kind):
    logits, target = pair(kind, (16, 16))
    half = logits.detach().bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(half, target.float())
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(half.float(), target.float()))


@pytest.mark.parametrize(
    "loss",
    [PixelWeightedBCELoss(), BCEDiceLoss(), MSSSIMLoss(2, **SMALL), UNet3PlusLoss(2, **SMALL)],
)
def test_a_mask_of_255_or_another_shape_is_refused_in_one_line(loss):
    logits, mask = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    mask[..., 0] = 255
    with pytest.raises(
        ValueError, match=r"target: found values from 0 to 255, expected 0 to 1; "
    ) as e:
        loss(logits, mask)
    assert "\n" not in str(e.value)
    with pytest.raises(
        ValueError, match=r"target: found shape \(1, 8, 8\), expected the logits'"
    ) as e:
        loss(logits, mask[0])
    assert "\n" not in str(e.value)


def test_not_a_number_in_the_target_is_refused():
    with pytest.raises(ValueError, match="found values from nan to nan"):
        PixelWeightedBCELoss()(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), torch.nan))


def test_wrapped_losses_pass_the_refusal_on():
    loss = ClassificationGuidedLoss(DeepSupervisionLoss(PixelWeightedBCELoss(), [1.0]))
    logits, mask = torch.zeros(1, 1, 8, 8), torch.full((1, 1, 8, 8), 255.0)
    with pytest.raises(ValueError, match="255"):
        loss(([logits], torch.zeros(1, 2, 1)), mask)


def ignored_half(target):
    """The right half of the target."""
    ignored = torch.zeros_like(target, dtype=torch.bool)
    ignored[..., target.shape[-1] // 2 :] = True
    return ignored


@pytest.mark.parametrize(("loss", "kind"), LOSSES.values(), ids=LOSSES.keys())
def test_what_is_ignored_has_no_gradient_and_no_part_in_the_value(loss, kind):
    logits, target = pair(kind, (8, 12))
    ignored = ignored_half(target)
    value = IgnoringLoss(loss)(logits, target.masked_fill(ignored, -1))
    value.backward()
    assert (logits.grad[ignored.expand_as(logits)] == 0).all()
    assert (logits.grad[~ignored.expand_as(logits)] != 0).any()
    other = torch.where(ignored, 7.0, logits.detach())
    assert IgnoringLoss(loss)(other, target.masked_fill(ignored, -1)) == value.detach()
    assert value.isfinite()


@pytest.mark.parametrize(("loss", "kind"), LOSSES.values(), ids=LOSSES.keys())
def test_where_nothing_is_ignored_the_loss_is_its_own(loss, kind):
    logits, target = pair(kind, (8, 8))
    assert torch.equal(IgnoringLoss(loss)(logits, target), loss(logits, target))


@pytest.mark.parametrize(("loss", "kind"), LOSSES.values(), ids=LOSSES.keys())
def test_all_ignored_is_finite_and_has_no_gradient(loss, kind):
    logits, target = pair(kind, (8, 8))
    value = IgnoringLoss(loss)(logits, torch.full_like(target, -1))
    value.backward()
    assert value.isfinite()
    assert not logits.grad.any()


SUMS = {
    "BCE, sum": (PixelWeightedBCELoss((0.5, 2.0), reduction="sum"), MASKS),
    "cross-entropy, sum": (PixelWeightedCrossEntropyLoss(reduction="sum"), CLASS_NUMBERS),
    "Dice": (DiceLoss(sigmoid=True), MASKS),
}


@pytest.mark.parametrize(("loss", "kind"), SUMS.values(), ids=SUMS.keys())
def test_a_sum_is_that_of_the_remaining_pixels(loss, kind):
    logits, target = pair(kind, (8, 12))
    ignored = ignored_half(target)
    remaining = loss(logits[..., :6], target[..., :6])
    value = IgnoringLoss(loss)(logits, target.masked_fill(ignored, -1))
    torch.testing.assert_close(value, remaining)


def test_several_heads_presence_and_weights_are_ignored_alike():
    _, target = pair(MASKS, (8, 12))
    ignored = ignored_half(target)
    heads = [pair(MASKS, (8, 12), seed)[0] for seed in (1, 2)]
    presence = torch.zeros(2, 2, 1, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(2, 1, 8, 12, dtype=torch.float64)
    inner = DeepSupervisionLoss(PixelWeightedBCELoss(reduction="weighted_mean"), [1.0, 1.0])
    loss = IgnoringLoss(ClassificationGuidedLoss(inner))
    value = loss((heads, presence), target.masked_fill(ignored, -1), weight)
    value.backward()
    assert all((head.grad[ignored] == 0).all() for head in heads)
    assert presence.grad.any()
    remaining = ClassificationGuidedLoss(inner)(
        ([head[..., :6] for head in heads], presence), target[..., :6], weight[..., :6]
    )
    torch.testing.assert_close(value, remaining)


def test_half_precision_logits_stay_finite_where_ignored():
    logits = torch.zeros(1, 1, 8, 8, dtype=torch.float16, requires_grad=True)
    target = torch.full((1, 1, 8, 8), -1.0)
    value = IgnoringLoss(BCEDiceLoss())(logits, target)
    value.backward()
    assert value.isfinite()
    assert not logits.grad.any()
