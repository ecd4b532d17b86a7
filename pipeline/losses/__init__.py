"""Losses that the papers use and MONAI and torch lack; all take logits.

A call is ``loss(prediction, target)``, or ``loss(prediction, target, weight)`` with a map of pixel
weights ``(B, 1, *spatial)``. MONAI's ``SupervisedTrainer`` calls a loss with two arguments. To pass
a map, give the trainer an ``iteration_update`` that takes it from the batch and passes it as third
argument. The label stays as metrics expect it.

Losses that MONAI or torch have are not repeated here:

- BCE with ``pos_weight`` (Andersen): ``torch.nn.BCEWithLogitsLoss``.
- Soft Dice over the batch (Erickson and Cai; Keras): ``monai.losses.DiceLoss(sigmoid=True,
  batch=True, smooth_nr=s, smooth_dr=s)``, which is 1 - (2 sum y p + s) / (sum y + sum p + s).
- Soft Dice for each image, then averaged: the same with ``batch=False``.
- Soft IoU: the same with ``jaccard=True``. Focal loss: ``monai.losses.FocalLoss``.
"""

from pipeline.losses.class_frequencies import inverse_class_frequencies
from pipeline.losses.deep_supervision import DeepSupervisionLoss
from pipeline.losses.ignoring import IgnoringLoss
from pipeline.losses.masked import MaskedL1Loss
from pipeline.losses.ms_ssim import MSSSIMLoss, scales_that_fit
from pipeline.losses.pixel_weighted import PixelWeightedBCELoss, PixelWeightedCrossEntropyLoss
from pipeline.losses.soft_targets import soft_target_divergence
from pipeline.losses.unet_3_plus import ClassificationGuidedLoss, UNet3PlusLoss
from pipeline.losses.unet_plus_plus import BCEDiceLoss

__all__ = [
    "BCEDiceLoss",
    "ClassificationGuidedLoss",
    "DeepSupervisionLoss",
    "IgnoringLoss",
    "MSSSIMLoss",
    "MaskedL1Loss",
    "PixelWeightedBCELoss",
    "PixelWeightedCrossEntropyLoss",
    "UNet3PlusLoss",
    "inverse_class_frequencies",
    "scales_that_fit",
    "soft_target_divergence",
]
