"""Validating the maps of the labels, without those that a network learns beside them."""

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer


class LabelMapsInferer(Inferer):
    """An inferer whose output has the maps of the labels alone.

    The truth of validation has the labels, and none of what is learnt beside them, as distances.

    Args:
        inferer: how an image passes the network.
        further: number of the network's last maps, which are left out.

    Example:
        >>> from monai.inferers import SimpleInferer
        >>> LabelMapsInferer(SimpleInferer(), 1)(torch.zeros(1, 3, 8, 8), torch.nn.Identity()).shape
        torch.Size([1, 2, 8, 8])
    """

    def __init__(self, inferer: Inferer, further: int) -> None:
        self.inferer, self.further = inferer, further

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return the first maps that the inferer returns."""
        maps: torch.Tensor = self.inferer(inputs, network, *args, **kwargs)
        return maps[:, : maps.shape[1] - self.further]
