"""An ensemble: several networks as one, by the mean of their probabilities."""

from collections.abc import Sequence

from torch import Tensor, nn

from pipeline.networks.feature_maps import feature_modules
from pipeline.networks.heads import logit_of_mean


class Ensemble(nn.Module):
    """The mean probability of several networks, returned as logits.

    Use it wherever one of its members could be used: in evaluation, inference and packing. It is
    for inference alone; training it would train the members on their common error.

    Args:
        members: networks of one kind, each with logits of a sigmoid.

    Shapes:
        Images to logits, of the same shapes as those of its members.

    Raises:
        ValueError: no member.

    Example:
        >>> import torch
        >>> sure, unsure = nn.Identity(), nn.Threshold(9.0, 0.0)  # the second says one half
        >>> mean = Ensemble([sure, unsure])(torch.tensor([0.9]).logit())
        >>> round(mean.sigmoid().item(), 3)
        0.7
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        if not members:
            raise ValueError("Ensemble members: found none, expected one network or more")
        self.members = nn.ModuleList(members)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits of the mean probability."""
        logits: list[Tensor] = []
        for member in self.members:
            output = member(image)
            if not isinstance(output, Tensor):
                raise TypeError("Ensemble: a member in training; call eval() first")
            logits.append(output)
        return logit_of_mean(logits, softmax=False)

    def feature_modules(self) -> dict[str, nn.Module]:
        """Return the steps of the first member, which stands for all of them in an explanation."""
        return feature_modules(self.members[0])
