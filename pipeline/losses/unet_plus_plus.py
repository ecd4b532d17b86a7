"""The loss of UNet++."""

from monai.losses import DiceLoss
from torch import Tensor, nn

from pipeline.losses.checks import at_least_single, check_probabilities, check_same_shape
from pipeline.losses.pixel_weighted import PixelWeightedBCELoss


class BCEDiceLoss(nn.Module):
    """Binary cross-entropy and soft Dice, as UNet++ takes it at every head.

    Zhou et al. 2018, equation 1, prints ``-1/N sum_b (1/2 y log p + 2 y p / (y + p))`` over the
    images b. As printed the cross-entropy lacks its (1 - y) log(1 - p) term, without which
    foreground everywhere would be right; this is the full one. A constant 1 for each Dice keeps
    the loss from falling below 0::

        bce_weight * BCE + mean of 1 - (2 sum y p + s) / (sum y + sum p + s)

    with the sums over the pixels and the mean over images and labels.

    Args:
        bce_weight: the paper's 1/2.
        smooth: s; an empty mask met by an empty prediction costs nothing.
        batch_dice: take the sums over all images of the batch, not each image's. A patch without
            foreground then counts by what is predicted in it, not as a miss whatever is.

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
        """Loss of logits against 0 and 1."""
        check_same_shape(type(self).__name__, prediction, target)
        check_probabilities(type(self).__name__, target)
        prediction = at_least_single(prediction)
        target = target.to(prediction)
        bce = self.bce(prediction, target, weight)
        dice: Tensor = self.dice(prediction, target)
        return self.bce_weight * bce + dice
