"""A loss over several heads, each with its own weight."""

from collections.abc import Sequence

from torch import Tensor, nn


class DeepSupervisionLoss(nn.Module):
    """``sum_k head_weights[k] * loss(heads[k], target)``, with explicit weights.

    The weights follow the order of the heads; :mod:`pipeline.networks` lists the most refined head
    first. A single tensor, as a network returns in evaluation, is passed to the loss unweighted.
    (``monai.losses.DeepSupervisionLoss`` halves the weight from head to head by default and takes
    no weight map.)

    Args:
        loss: any loss of logits; called with the weight map as third argument where one is given.
        head_weights: a weight for each head. UNet++ and UNet 3+ weigh all heads alike.

    Shapes:
        Heads and target as the loss expects them, all of one size.

    Raises:
        ValueError: not as many heads as weights, or input that ``loss`` refuses.

    Example:
        >>> import torch
        >>> loss = DeepSupervisionLoss(nn.L1Loss(), head_weights=[1.0, 0.5])
        >>> loss([torch.tensor([3.0]), torch.tensor([5.0])], torch.tensor([1.0]))  # 2 + 4 / 2
        tensor(4.)
    """

    def __init__(self, loss: nn.Module, head_weights: Sequence[float]) -> None:
        super().__init__()
        self.loss = loss
        self.head_weights = tuple(head_weights)

    def forward(
        self, prediction: Tensor | Sequence[Tensor], target: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """Return the weighted sum over the heads, or the loss of a single tensor."""
        more = () if weight is None else (weight,)
        if isinstance(prediction, Tensor):
            single: Tensor = self.loss(prediction, target, *more)
            return single
        if len(prediction) != len(self.head_weights):
            raise ValueError(
                f"DeepSupervisionLoss prediction: found {len(prediction)} heads, expected "
                f"{len(self.head_weights)}; give head_weights one number for each head"
            )
        losses = [self.loss(head, target, *more) for head in prediction]
        total: Tensor = sum(
            share * loss for share, loss in zip(self.head_weights, losses, strict=True)
        )
        return total
