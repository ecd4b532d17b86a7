"""The decoder node of UNet 3+, and a convolution of an up-sampled map without that map."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.networks.blocks import (
    CONVOLUTIONS,
    MAX_POOLS,
    ConvolutionUnit,
    Style,
    activation,
    normalisation,
)


class FullScaleNode(nn.Module):
    """One decoder node: the maps of all scales, brought to its own scale, reduced and fused.

    The paper normalises and activates each of the reduced maps and then concatenates them. Batch
    and instance norm and the activation act on each channel alone, so concatenating first gives the
    same result, with one copy fewer for the backward pass. (Layer norm then runs over all five
    together.)
    """

    def __init__(
        self, style: Style, scale: int, in_channels: Sequence[int], skip_channels: int
    ) -> None:
        super().__init__()
        width = len(in_channels) * skip_channels
        self.scale = scale
        self.pools = nn.ModuleList(
            MAX_POOLS[style.spatial_dims](2 ** (scale - finer)) for finer in range(scale)
        )
        self.branches = nn.ModuleList(
            CONVOLUTIONS[style.spatial_dims](channels, skip_channels, 3, padding=1)
            for channels in in_channels
        )
        self.norm = normalisation(style, width)
        self.activation = activation(style)
        self.fusion = ConvolutionUnit(style, (width,), width)

    def forward(self, scales: Sequence[Tensor]) -> Tensor:
        """Five maps, finest first, to ``(B, 5 * skip_channels, *spatial)`` of this scale."""
        reduced = [self._reduced(source, features) for source, features in enumerate(scales)]
        return self.fusion(self.activation(self.norm(torch.cat(reduced, dim=1))))

    def _reduced(self, source: int, features: Tensor) -> Tensor:
        branch = self.branches[source]
        if source > self.scale:
            factor = 2 ** (source - self.scale)
            weight, bias = branch.get_parameter("weight"), branch.get_parameter("bias")
            return convolve_upsampled(features, weight, bias, factor)
        return branch(self.pools[source](features) if source < self.scale else features)


def convolve_upsampled(features: Tensor, weight: Tensor, bias: Tensor, factor: int) -> Tensor:
    """Return the 3 x 3 convolution (zero padding 1) of linearly up-sampled features, to rounding.

    Mixing channels and interpolating commute. So each of the kernel's 3^n taps mixes channels on
    the coarse grid, and one matrix for each dimension then interpolates, shifts by the tap and sums
    the taps. For a factor f this is about f^n times less arithmetic, without an up-sampled copy of
    the features.

    Args:
        features: ``(B, C, *spatial)``.
        weight: ``(K, C, 3, …)``.
        bias: ``(K,)``.
        factor: factor of the up-sampling in every dimension.

    Returns:
        ``(B, K, *(factor * spatial))``.

    Example:
        >>> features, weight = torch.rand(1, 2, 4, 6), torch.rand(5, 2, 3, 3)
        >>> fine = F.interpolate(features, scale_factor=2, mode="bilinear")
        >>> expected = F.conv2d(fine, weight, torch.zeros(5), padding=1)
        >>> torch.allclose(convolve_upsampled(features, weight, torch.zeros(5), 2), expected)
        True
    """
    dims = weight.dim() - 2
    pointwise = F.conv2d if dims == 2 else F.conv3d
    kernels = weight.movedim(1, -1).reshape(-1, weight.shape[1], *[1] * dims)
    taps = pointwise(features, kernels).unflatten(1, (weight.shape[0], *[3] * dims))
    for remaining in range(dims, 0, -1):
        matrix = shifted_interpolation(features.shape[2 + dims - remaining], factor, taps)
        taps = torch.tensordot(taps, matrix, dims=([2, 2 + remaining], [0, 1]))
    return taps + bias.reshape(-1, *[1] * dims)


def shifted_interpolation(side: int, factor: int, like: Tensor) -> Tensor:
    """Return the matrices of linear interpolation from ``side`` to ``factor * side``, by tap.

    Returns:
        ``(3, side, factor * side)``: for tap t, output p holds the interpolated value at
        p + t - 1, or zero where that lies outside.
    """
    coarse = torch.arange(side, device=like.device)[:, None]
    shift = torch.arange(-1, 2, device=like.device)[:, None]
    seen = torch.arange(factor * side, device=like.device) + shift
    inside = seen.clamp(0, factor * side - 1)
    positions = ((inside + 0.5) / factor - 0.5).clamp(0, side - 1)
    interpolation = F.relu(1 - (positions[:, None] - coarse).abs())
    return (interpolation * (seen == inside)[:, None]).to(like.dtype)
