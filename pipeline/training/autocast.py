"""Passing a batch through a network in the precision of a training."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from monai.inferers import Inferer

from pipeline.precision import BFLOAT16, Precision, in_bfloat16
from pipeline.training.thin_maps import ThinMapsInFloat32


class AutocastInferer(Inferer):
    """An inferer whose network computes in bfloat16, on any device; its output is float32.

    So the loss is computed in float32. MONAI's ``amp`` does the same for CUDA alone.

    Args:
        inferer: how a batch passes the network.
        device: where the network is.
    """

    def __init__(self, inferer: Inferer, device: torch.device | str) -> None:
        self.inferer, self.device = inferer, device

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Return what the inferer returns, each tensor in float32."""
        infer = partial(self.inferer, **kwargs)
        # maps are thin in volumes alone, and a mode takes time at every call of PyTorch
        of_volumes = torch.device(self.device).type == "cpu" and inputs.ndim == 5
        with ThinMapsInFloat32() if of_volumes else nullcontext():
            return in_bfloat16(infer, self.device, inputs, network, *args)


def in_precision(inferer: Inferer, precision: Precision, device: torch.device | str) -> Inferer:
    """Return an inferer whose network computes in a precision."""
    return AutocastInferer(inferer, device) if precision == BFLOAT16 else inferer
