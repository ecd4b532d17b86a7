"""How far a network's probabilities are from those of its teachers."""

import torch.nn.functional as F
from torch import Tensor


def soft_target_divergence(
    logits: Tensor, teacher: Tensor, truth: Tensor, temperature: float = 1.0
) -> Tensor:
    """Return the mean Kullback-Leibler divergence from a teacher's probabilities to a network's.

    Of a pixel and label, with ``q = sigmoid(teacher / T)`` and ``p = sigmoid(logits / T)``::

        q log(q / p) + (1 - q) log((1 - q) / (1 - p))

    Its gradient is that of the cross-entropy with soft targets (Hinton, Vinyals and Dean 2015,
    https://arxiv.org/abs/1503.02531, section 2), ``(p - q) / T``, and it is 0 where both agree. It
    shrinks as ``1 / T^2``: whoever adds it to a loss of the truth multiplies it by ``T^2``.

    Pixels whose truth is negative are ignored.

    Args:
        logits: of the network.
        teacher: logits of the teacher.
        truth: of the labels.
        temperature: T, above 0; a larger one shows more of how sure the teacher is.

    Shapes:
        All ``(B, L, *spatial)``, to a number.

    Example:
        >>> import torch
        >>> certain, unsure = torch.tensor([0.8]).logit(), torch.tensor([0.5]).logit()
        >>> round(soft_target_divergence(unsure, certain, torch.ones(1)).item(), 4)
        0.1927
    """
    soft = (teacher / temperature).sigmoid()
    cross_entropy, entropy = (
        F.binary_cross_entropy_with_logits(of / temperature, soft, reduction="none")
        for of in (logits, teacher)
    )
    kept = truth >= 0
    return ((cross_entropy - entropy) * kept).sum() / kept.sum().clamp(min=1)
