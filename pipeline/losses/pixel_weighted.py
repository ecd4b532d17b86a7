"""Cross-entropies with a weight for every pixel and every class."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.losses.checks import (
    at_least_single,
    check_class_indices,
    check_probabilities,
    check_same_shape,
    check_weight_map,
)

REDUCTIONS = ("mean", "weighted_mean", "sum")


class PixelWeightedCrossEntropyLoss(nn.Module):
    """Softmax cross-entropy with a weight map, for classes that exclude each other.

    With the class weights c, the weight map w and the target class l(x) of pixel x,
    ``E = sum_x w(x) c_l(x) * -log p_l(x)(x)`` (Ronneberger et al. 2015, equation 1, which omits the
    minus sign). ``reduction`` decides what E is divided by: ``"mean"`` the number of pixels,
    ``"weighted_mean"`` the sum of all weights w(x) c_l(x), ``"sum"`` nothing (as in the paper).

    Args:
        class_weights: a weight for each class; None: 1 each. See
            :func:`pipeline.losses.inverse_class_frequencies`.
        reduction: ``"mean"``, ``"weighted_mean"`` or ``"sum"``.

    Shapes:
        Logits ``(B, C, *spatial)``, target ``(B, 1, *spatial)`` of class numbers, weight
        ``(B, 1, *spatial)`` or None.

    Raises:
        ValueError: an unknown reduction, a number of class weights that is not C, a target or
            weight map of another shape, or a target that is no class number.

    Example:
        >>> loss = PixelWeightedCrossEntropyLoss()
        >>> logits, target = torch.zeros(1, 2, 1, 2), torch.tensor([[[[0, 1]]]])
        >>> loss(logits, target, weight=torch.tensor([[[[1.0, 3.0]]]]))  # (1 + 3) log 2 / 2
        tensor(1.3863)
    """

    class_weights: Tensor | None

    def __init__(
        self, class_weights: Sequence[float] | Tensor | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__()
        check_reduction(reduction)
        self.reduction = reduction
        self.register_buffer("class_weights", weights_tensor(class_weights), persistent=False)

    def forward(self, prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the loss of logits against class numbers, each pixel weighted by the map."""
        name = type(self).__name__
        check_class_indices(name, prediction, target)
        prediction = at_least_single(prediction)
        classes = target[:, 0].long()
        losses = F.cross_entropy(prediction, classes, reduction="none")
        class_weight = torch.ones_like(losses)
        if self.class_weights is not None:
            check_class_weights(name, self.class_weights, prediction.shape[1])
            class_weight = self.class_weights.to(losses)[classes]
        losses, class_weight = (losses * class_weight)[:, None], class_weight[:, None]
        return reduced(name, losses, class_weight, weight, self.reduction)


class PixelWeightedBCELoss(nn.Module):
    """Sigmoid cross-entropy with a weight map, for one class or several independent labels.

    ``E = sum_x w(x) [c_1 y -log p + c_0 (1 - y) -log(1 - p)]``. ``reduction`` decides what E is
    divided by: ``"mean"`` the number of pixels and labels, ``"weighted_mean"`` the sum of all
    weights, ``"sum"`` nothing. Class weights (1, p) equal torch's ``pos_weight = p``: without a
    weight map ``torch.nn.BCEWithLogitsLoss`` does the same.

    Args:
        class_weights: weights of background and foreground, (c_0, c_1); None: 1 each. See
            :func:`pipeline.losses.inverse_class_frequencies`.
        reduction: ``"mean"``, ``"weighted_mean"`` or ``"sum"``.

    Shapes:
        Logits and target ``(B, C, *spatial)``, the target in [0, 1]; weight ``(B, 1, *spatial)``
        or None.

    Raises:
        ValueError: an unknown reduction, a number of class weights that is not two, a target or
            weight map of another shape, or a target outside [0, 1].

    Example:
        >>> loss = PixelWeightedBCELoss(class_weights=(1.0, 2.0))
        >>> logits, target = torch.zeros(1, 1, 1, 2), torch.tensor([[[[0.0, 1.0]]]])
        >>> loss(logits, target, weight=torch.tensor([[[[1.0, 3.0]]]]))  # (1 + 2 * 3) log 2 / 2
        tensor(2.4260)
    """

    class_weights: Tensor | None

    def __init__(
        self, class_weights: Sequence[float] | Tensor | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__()
        check_reduction(reduction)
        self.reduction = reduction
        self.register_buffer("class_weights", weights_tensor(class_weights), persistent=False)
        if self.class_weights is not None:
            check_class_weights(type(self).__name__, self.class_weights, 2)

    def forward(self, prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the loss of logits against 0 and 1, each pixel weighted by the map."""
        name = type(self).__name__
        check_same_shape(name, prediction, target)
        check_probabilities(name, target)
        prediction = at_least_single(prediction)
        target = target.to(prediction)
        background, foreground = (
            (1.0, 1.0) if self.class_weights is None else self.class_weights.to(prediction)
        )
        positive, negative = foreground * target, background * (1 - target)
        losses = -positive * F.logsigmoid(prediction) - negative * F.logsigmoid(-prediction)
        return reduced(name, losses, positive + negative, weight, self.reduction)


def weights_tensor(class_weights: Sequence[float] | Tensor | None) -> Tensor | None:
    """Return the class weights as a tensor."""
    return None if class_weights is None else torch.as_tensor(class_weights, dtype=torch.float64)


def check_reduction(reduction: str) -> None:
    """Refuse an unknown reduction."""
    if reduction not in REDUCTIONS:
        raise ValueError(
            f"reduction: found {reduction!r}, expected one of {', '.join(REDUCTIONS)}; "
            "set one of them"
        )


def check_class_weights(loss: str, class_weights: Tensor, classes: int) -> None:
    """Refuse class weights that are not as many as the classes."""
    if class_weights.shape != (classes,):
        raise ValueError(
            f"{loss} class_weights: found {class_weights.numel()}, expected {classes}; "
            "give one weight for each class, the background's first"
        )


def reduced(
    loss: str, losses: Tensor, class_weight: Tensor, weight: Tensor | None, reduction: str
) -> Tensor:
    """Sum the class-weighted losses under the map, and divide by what ``reduction`` names."""
    if weight is not None:
        check_weight_map(loss, weight, losses)
        losses, class_weight = losses * weight.to(losses), class_weight * weight.to(losses)
    total = losses.sum()
    if reduction == "sum":
        return total
    if reduction == "mean":
        return total / losses.numel()
    return total / class_weight.sum().clamp(min=torch.finfo(total.dtype).tiny)
