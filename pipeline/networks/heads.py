"""Several heads of one network: a guided output, the most refined head, and the heads' mean."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class GuidedOutput(NamedTuple):
    """The output of a classification-guided UNet 3+ in training."""

    heads: list[Tensor]
    """Logits ``(B, out_channels, *spatial)``, the full-resolution head first; not gated."""
    presence: Tensor
    """Logits ``(B, 2, out_channels)``: index 0 for "absent", 1 for "present"."""


def most_refined(prediction: Tensor | Sequence[Tensor] | GuidedOutput) -> Tensor:
    """Return the only tensor, or the most refined of several heads, which networks list first.

    >>> most_refined([torch.tensor([1.0]), torch.tensor([2.0])])
    tensor([1.])
    """
    if isinstance(prediction, Tensor):
        return prediction
    heads = prediction.heads if isinstance(prediction, GuidedOutput) else prediction
    return heads[0]


def logit_of_mean(logits: list[Tensor], softmax: bool) -> Tensor:
    """Return the logits whose probabilities are the mean of the given logits' probabilities.

    Sigmoid: log(p / (1 - p)) with p the mean of sigmoid(z_k). Softmax: log of the mean of
    softmax(z_k) along channels. Both are computed in log space, so that large logits neither
    overflow nor lose their sign.

    >>> logit_of_mean([torch.tensor([100.0]), torch.tensor([100.0])], softmax=False)
    tensor([100.])
    """
    if len(logits) == 1:
        return logits[0]
    heads = torch.stack(logits)
    if softmax:
        return F.log_softmax(heads, dim=2).logsumexp(dim=0) - math.log(len(logits))
    return F.logsigmoid(heads).logsumexp(dim=0) - F.logsigmoid(-heads).logsumexp(dim=0)
