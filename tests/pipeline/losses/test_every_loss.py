"""What every loss must pass; a loss joins by one line in LOSSES."""

import pytest
import torch
from monai.losses import DiceLoss
from torch import nn

from pipeline.losses import (
    BCEDiceLoss,
    ClassificationGuidedLoss,
    DeepSupervisionLoss,
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
