"""The weights that a network starts with."""

from collections.abc import Iterator
from math import prod

import torch
from torch import nn

TRUNCATED_DEVIATION = 0.87962566103423978
"""Deviation of a standard normal distribution that is cut off at -2 and 2."""


@torch.no_grad()
def initialise_he_normal(network: nn.Module) -> None:
    """Draw every convolution's weights from N(0, sqrt(2 / N)) and set its bias to zero.

    N is the number of inputs that reach one output (Ronneberger et al. 2015, section 3; He et al.
    2015). In a transposed convolution whose stride is its side, N is the number of input channels.
    """
    for module in _convolutions(network):
        incoming = _incoming(module)
        module.weight.normal_(0.0, (2 / incoming) ** 0.5)


@torch.no_grad()
def initialise_he_truncated(network: nn.Module) -> None:
    """Draw every convolution's weights as Keras' ``he_normal`` and set its bias to zero.

    The distribution is normal with deviation s, cut off at -2 s and 2 s. After the cut its
    deviation is sqrt(2 / N), so that s is sqrt(2 / N) / 0.8796. Keras counts N from the shape of
    the kernel: in a transposed convolution it is the kernel's area times the *output* channels.
    """
    for module in _convolutions(network):
        if isinstance(module, nn.ConvTranspose2d | nn.ConvTranspose3d):
            incoming = prod(module.kernel_size) * module.out_channels
        else:
            incoming = _incoming(module)
        deviation = (2 / incoming) ** 0.5 / TRUNCATED_DEVIATION
        nn.init.trunc_normal_(module.weight, 0.0, deviation, -2 * deviation, 2 * deviation)


INITIALISATIONS = {"he_normal": initialise_he_normal, "he_truncated": initialise_he_truncated}


Convolution = nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d


def _convolutions(network: nn.Module) -> Iterator[Convolution]:
    """Yield every convolution, its bias set to zero."""
    for module in network.modules():
        if isinstance(module, Convolution):
            if module.bias is not None:
                module.bias.zero_()
            yield module


def _incoming(module: Convolution) -> int:
    """Return the number of inputs that reach one output."""
    if isinstance(module, nn.ConvTranspose2d | nn.ConvTranspose3d):
        return module.in_channels
    return module.weight[0].numel()
