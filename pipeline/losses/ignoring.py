"""A loss that leaves out what is to be ignored."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

LOGIT_OF_ZERO = -100.0
"""A logit whose probability is 0 in single precision."""


class IgnoringLoss(nn.Module):
    """Any loss, without the pixels whose target is negative.

    There the logit is replaced by -100 and the target by 0, a prediction that is right and certain:
    it has no gradient, and adds nothing to a sum over pixels. A mean still divides by all pixels.
    The weight map is 0 there. A target of class numbers (one channel for several logits) becomes
    class 0, predicted with certainty. Without a negative target the loss is the given one.

    Args:
        loss: any loss of logits; called with the weight map as third argument where one is given.

    Shapes:
        As the loss expects them: a tensor of logits, several heads, or heads and presence; pixels
        are ignored in the tensors that have the target's spatial shape.

    Raises:
        ValueError: input that ``loss`` refuses.

    Example:
        >>> loss = IgnoringLoss(nn.BCEWithLogitsLoss(reduction="sum"))
        >>> logits = torch.zeros(1, 1, 1, 2, requires_grad=True)
        >>> value = loss(logits, torch.tensor([[[[1.0, -1.0]]]]))
        >>> value.backward()
        >>> value.item() == torch.tensor(2.0).log().item(), logits.grad.flatten().tolist()
        (True, [-0.5, 0.0])
    """

    def __init__(self, loss: Callable[..., Tensor]) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, prediction: Any, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the loss of the pixels whose target is not negative."""
        ignored = target < 0
        if not bool(ignored.any()):
            return self.loss(prediction, target, *(() if weight is None else (weight,)))
        kept = target.masked_fill(ignored, 0)
        more = () if weight is None else (weight.masked_fill(ignored.all(1, keepdim=True), 0),)
        return self.loss(_without(prediction, ignored), kept, *more)


def _without(prediction: Any, ignored: Tensor) -> Any:
    """Replace the ignored logits in every tensor of the target's spatial shape."""
    if isinstance(prediction, list | tuple):
        return type(prediction)(_without(part, ignored) for part in prediction)
    if prediction.shape[2:] != ignored.shape[2:]:
        return prediction
    return torch.where(ignored, _certain(prediction, ignored), prediction)


def _certain(prediction: Tensor, ignored: Tensor) -> Tensor:
    """Return the logits of background, ``(1, C, 1, …)``."""
    channels = prediction.shape[1]
    logits = prediction.new_full((1, channels, *[1] * (prediction.ndim - 2)), LOGIT_OF_ZERO)
    if ignored.shape[1] < channels:  # a target of class numbers
        logits[:, 0] = -LOGIT_OF_ZERO
    return logits
