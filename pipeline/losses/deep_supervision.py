"""A loss over several heads, each with its own weight."""

from collections.abc import Sequence

from torch import Tensor, nn


class DeepSupervisionLoss(nn.Module):
    """``sum_k head_weights[k] * loss(heads[k], target)``.

    The weights follow the order of the heads; :mod:`pipeline.networks` lists the most refined head
    first. A single tensor, as a network returns in evaluation, is passed to the loss unweighted.
    (``monai.losses.DeepSupervisionLoss`` halves the weight from head to head by default and takes
    no weight map.)

    Args:
        loss: any loss of logits; called with the weight map as third argument where one is given.
        head_weights: a weight for each head. UNet++ and UNet 3+ weigh all heads alike. None: each
            head has half the weight of the one before, and all together 1, as in nnU-Net (Isensee
            et al., Nature Methods 2021, "Training").

    Shapes:
        Heads and target as the loss expects them, all of one size.

    Raises:
        ValueError: not as many heads as weights, or input that ``loss`` refuses.

    Example:
        >>> import torch
        >>> loss = DeepSupervisionLoss(nn.L1Loss(), head_weights=[1.0, 0.5])
        >>> loss([torch.tensor([3.0]), torch.tensor([5.0])], torch.tensor([1.0]))  # 2 + 4 / 2
        tensor(4.)
        >>> halving_weights(3)  # 4 / 7, 2 / 7, 1 / 7
        [0.5714285714285714, 0.2857142857142857, 0.14285714285714285]
    """

    def __init__(self, loss: nn.Module, head_weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.loss = loss
        self.head_weights = head_weights

    def forward(
        self, prediction: Tensor | Sequence[Tensor], target: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """Return the weighted sum over the heads, or the loss of a single tensor."""
        more = () if weight is None else (weight,)
        if isinstance(prediction, Tensor):
            single: Tensor = self.loss(prediction, target, *more)
            return single
        shares = self.head_weights
        if shares is None:
            shares = halving_weights(len(prediction))
        if len(prediction) != len(shares):
            raise ValueError(
                f"DeepSupervisionLoss prediction: found {len(prediction)} heads, expected "
                f"{len(shares)}; give head_weights one number for each head"
            )
        losses = [self.loss(head, target, *more) for head in prediction]
        total: Tensor = sum(share * loss for share, loss in zip(shares, losses, strict=True))
        return total


def halving_weights(heads: int) -> list[float]:
    """Return 1, 1/2, 1/4, …, divided by their sum."""
    weights = [0.5**head for head in range(heads)]
    return [weight / sum(weights) for weight in weights]
