"""The losses of UNet 3+: the hybrid segmentation loss, and the classification-guided term."""

import torch
import torch.nn.functional as F
from monai.losses import DiceLoss
from monai.losses.focal_loss import sigmoid_focal_loss
from torch import Tensor, nn

from pipeline.losses.checks import (
    at_least_single,
    check_probabilities,
    check_same_shape,
    check_weight_map,
)
from pipeline.losses.ms_ssim import MSSSIMLoss


class UNet3PlusLoss(nn.Module):
    """Focal + MS-SSIM + IoU loss: pixel, patch and map level, unweighted.

    Huang et al. 2020, equation 4: ``l_fl + l_ms-ssim + l_iou``, with the focal loss
    ``-(1 - p_t)^gamma log p_t`` averaged over pixels and the soft IoU loss
    ``1 - (sum y p + s) / (sum y + sum p - sum y p + s)`` averaged over images and channels.

    Args:
        spatial_dims: 2 or 3.
        scales: scales of the MS-SSIM, 1 to 5; five need more than 160 pixels on each side.
        gamma: exponent of the focal loss.
        smooth: s of the IoU loss.
        window_size: side of the MS-SSIM's window in pixels.

    Shapes:
        Logits and target ``(B, C, *spatial)``, the target in [0, 1]; weight ``(B, 1, *spatial)``
        or None. The weight map acts on the focal loss and the MS-SSIM, which are means over
        pixels, and not on the IoU loss.

    Raises:
        ValueError: arguments or input that :class:`MSSSIMLoss` refuses.

    Example:
        >>> mask = torch.zeros(1, 1, 44, 44)
        >>> mask[..., 10:30, 10:30] = 1
        >>> bool(UNet3PlusLoss(2, scales=3)(200 * mask - 100, mask) < 1e-6)
        True
    """

    def __init__(
        self,
        spatial_dims: int,
        scales: int = 5,
        gamma: float = 2.0,
        smooth: float = 1e-5,
        window_size: int = 11,
    ) -> None:
        super().__init__()
        self.gamma = gamma
        self.ms_ssim = MSSSIMLoss(spatial_dims, scales, window_size)
        self.iou = DiceLoss(sigmoid=True, jaccard=True, smooth_nr=smooth, smooth_dr=smooth)

    def forward(self, prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the loss of logits against a mask."""
        check_same_shape(type(self).__name__, prediction, target)
        check_probabilities(type(self).__name__, target)
        prediction = at_least_single(prediction)
        target = target.to(prediction)
        focal: Tensor = sigmoid_focal_loss(prediction, target, self.gamma)
        if weight is not None:
            check_weight_map(type(self).__name__, weight, prediction)
            focal = focal * weight.to(focal)
        iou: Tensor = self.iou(prediction, target)
        return focal.mean() + self.ms_ssim(prediction, target, weight) + iou


class ClassificationGuidedLoss(nn.Module):
    """A segmentation loss plus the binary cross-entropy of "is the class in the image".

    ``segmentation(heads, target) + presence_weight * BCE(presence, any pixel of the class)``, for
    a network that returns ``(heads, presence)`` in training, as the classification-guided
    :class:`pipeline.networks.UNet3Plus` does (Huang et al. 2020, section 2.4). In evaluation such a
    network returns one gated tensor, and the loss is the segmentation loss alone.

    Args:
        segmentation: loss of the heads, the target and, where given, the weight map; for several
            heads a :class:`DeepSupervisionLoss`.
        presence_weight: weight of the cross-entropy.

    Shapes:
        Heads of ``(B, C, *spatial)``, presence ``(B, 2, C)`` ("absent", "present"), target
        ``(B, C, *spatial)`` in [0, 1].

    Raises:
        ValueError: a presence that does not fit the target, or input that ``segmentation`` refuses.

    Example:
        >>> loss = ClassificationGuidedLoss(nn.BCEWithLogitsLoss())
        >>> mask = torch.ones(1, 1, 2, 2)
        >>> loss((torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 1)), mask)  # log 2 + log 2
        tensor(1.3863)
    """

    def __init__(self, segmentation: nn.Module, presence_weight: float = 1.0) -> None:
        super().__init__()
        self.segmentation = segmentation
        self.presence_weight = presence_weight

    def forward(
        self,
        prediction: Tensor | tuple[Tensor | list[Tensor], Tensor],
        target: Tensor,
        weight: Tensor | None = None,
    ) -> Tensor:
        """Return the loss of the heads and the presence, or of one tensor, against masks."""
        more = () if weight is None else (weight,)
        if isinstance(prediction, Tensor):
            gated: Tensor = self.segmentation(prediction, target, *more)
            return gated
        heads, presence = prediction
        segmentation: Tensor = self.segmentation(heads, target, *more)
        return segmentation + self.presence_weight * presence_loss(presence, target)


def presence_loss(presence: Tensor, target: Tensor) -> Tensor:
    """Return the binary cross-entropy of ``(B, 2, C)`` logits and the classes in the masks."""
    if tuple(presence.shape) != (target.shape[0], 2, target.shape[1]):
        raise ValueError(
            f"ClassificationGuidedLoss presence: found shape {tuple(presence.shape)}, expected "
            f"{(target.shape[0], 2, target.shape[1])}; give one mask channel for each logit"
        )
    presence = at_least_single(presence)
    present = (target.flatten(2) > 0).any(dim=2).to(presence)
    return F.binary_cross_entropy_with_logits(presence, torch.stack([1 - present, present], dim=1))
