"""The loss of UNet++."""

from monai.losses import DiceLoss
from torch import Tensor, nn

from pipeline.losses.checks import at_least_single, check_probabilities, check_same_shape
from pipeline.losses.pixel_weighted import PixelWeightedBCELoss


class BCEDiceLoss(nn.Module):
    """Binary cross-entropy and soft Dice, as UNet++ has them at every head.

    Zhou et al. 2018, equation 1, prints ``-1/N sum_b (1/2 y log p + 2 y p / (y + p))`` over the
    images b. As printed, the cross-entropy lacks its (1 - y) log(1 - p) term, and foreground
    everywhere would cost nothing; this loss has the full one. A constant 1 for each Dice keeps the
    loss from falling below 0::

        bce_weight * BCE + mean of 1 - (2 sum y p + s) / (sum y + sum p + s)

    with the sums over the pixels and the mean over images and labels.

    Args:
        bce_weight: weight of the cross-entropy; the paper has 1/2.
        smooth: s; with it, an empty prediction for an empty mask costs nothing.
        batch_dice: whether the sums are over all images of the batch instead of over each image. A
            patch without foreground then adds only its predicted pixels to the sums. Alone it would
            have a Dice near 0, however little is predicted in it.

    Shapes:
        Logits and target ``(B, C, *spatial)``, the target in [0, 1]; weight ``(B, 1, *spatial)``
        or None. The weight map acts on the cross-entropy alone.

    Raises:
        ValueError: a target or weight map of another shape, or a target outside [0, 1].

    Example:
        >>> import torch
        >>> logits, target = torch.zeros(1, 1, 1, 2), torch.tensor([[[[0.0, 1.0]]]])
        >>> BCEDiceLoss(smooth=0.0)(logits, target)  # log(2) / 2 + 1 - 2 * 0.5 / (1 + 1)
        tensor(0.8466)
    """

    def __init__(
        self, bce_weight: float = 0.5, smooth: float = 1e-5, batch_dice: bool = False
    ) -> None:
        super().__init__()
        self.bce_weight = bce_weight
        self.bce = PixelWeightedBCELoss()
        self.dice = DiceLoss(sigmoid=True, smooth_nr=smooth, smooth_dr=smooth, batch=batch_dice)

    def forward(self, prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the loss of logits against 0 and 1."""
        check_same_shape(type(self).__name__, prediction, target)
        check_probabilities(type(self).__name__, target)
        prediction = at_least_single(prediction)
        target = target.to(prediction)
        bce = self.bce(prediction, target, weight)
        dice: Tensor = self.dice(prediction, target)
        return self.bce_weight * bce + dice
