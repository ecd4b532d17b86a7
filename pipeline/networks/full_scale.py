"""The decoder node of UNet 3+, and a convolution of an up-sampled map without that map."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.networks.blocks import (
    CONVOLUTIONS,
    ConvolutionUnit,
    Style,
    activation,
    convolve,
    laid_out_as,
    max_pools,
    normalisation,
    same_padding,
    with_axes,
)
from pipeline.networks.pyramid import Pyramid


class FullScaleNode(nn.Module):
    """One decoder node: the maps of all scales, brought to its own scale, reduced and fused.

    The paper normalises and activates each of the reduced maps and then concatenates them. Batch
    and instance norm and the activation act on each channel alone, so concatenating first gives the
    same result, with one copy fewer for the backward pass. (Layer norm then runs over all five
    together.)
    """

    def __init__(
        self,
        style: Style,
        pyramid: Pyramid,
        scale: int,
        in_channels: Sequence[int],
        skip_channels: int,
    ) -> None:
        super().__init__()
        width = len(in_channels) * skip_channels
        kernel = pyramid.kernels[scale]
        self.scale = scale
        self.pools = max_pools(style, [pyramid.factors(finer, scale) for finer in range(scale)])
        self.pools.extend(nn.Identity() for _ in in_channels[scale:])
        self.factors = [list(pyramid.factors(scale, source)) for source in range(len(in_channels))]
        self.branches = nn.ModuleList(
            CONVOLUTIONS[style.spatial_dims](
                channels, skip_channels, kernel, padding=same_padding(kernel)
            )
            for channels in in_channels
        )
        self.norm = normalisation(style, width)
        self.activation = activation(style)
        self.fusion = ConvolutionUnit(style, (width,), width, kernel)

    def forward(self, scales: list[Tensor]) -> Tensor:
        """Five maps, finest first, to ``(B, 5 * skip_channels, *spatial)`` of this scale."""
        reduced: list[Tensor] = []
        for source, (pool, branch) in enumerate(zip(self.pools, self.branches, strict=True)):
            if source > self.scale:
                weight, bias, factors = branch.weight, branch.bias, self.factors[source]
                reduced.append(
                    convolve_upsampled(scales[source], weight, bias, factors)  # type: ignore[arg-type]
                )
            else:
                reduced.append(branch(pool(scales[source])))
        joined = torch.cat(reduced, dim=1)
        return self.fusion(self.activation(laid_out_as(joined, self.norm(joined))))


def convolve_upsampled(
    features: Tensor, weight: Tensor, bias: Tensor | None, factors: list[int]
) -> Tensor:
    """Return the zero-padded convolution of linearly up-sampled features, to rounding.

    Mixing channels and interpolating commute. So each of the kernel's taps mixes channels on the
    coarse grid, and one matrix for each dimension then interpolates, shifts by the tap and sums
    the taps. For a factor f this is about f^n times less arithmetic, without an up-sampled copy of
    the features.

    Args:
        features: ``(B, C, *spatial)``.
        weight: ``(K, C, *sides)``, with odd sides: 3, or 1 along an axis that is not convolved.
        bias: ``(K,)``, or none.
        factors: factor of the up-sampling in each dimension.

    Returns:
        ``(B, K, *(factors * spatial))``.

    Example:
        >>> features, weight = torch.rand(1, 2, 4, 6), torch.rand(5, 2, 3, 3)
        >>> fine = F.interpolate(features, scale_factor=2, mode="bilinear")
        >>> expected = F.conv2d(fine, weight, torch.zeros(5), padding=1)
        >>> torch.allclose(convolve_upsampled(features, weight, torch.zeros(5), (2, 2)), expected)
        True
    """
    sides = list(weight.shape[2:])
    dims = len(sides)
    kernels = with_axes(weight.movedim(1, -1).flatten(0, -2), dims)
    taps = convolve(features, kernels, None, [0] * dims)
    taps = taps.unflatten(1, weight.shape[:1] + weight.shape[2:])
    for axis, (side, factor) in enumerate(zip(sides, factors, strict=True)):
        matrix = shifted_interpolation(features.shape[2 + axis], factor, side, taps)
        # the axes done so far stand last, so that this one is the first of those to come
        # not by tensordot, which OpenVINO does not know
        taps = taps.movedim((2, 2 + dims - axis), (-2, -1)).flatten(-2) @ matrix.flatten(0, 1)
    maps = taps if bias is None else taps + with_axes(bias, dims)
    return laid_out_as(features, maps)


def shifted_interpolation(side: int, factor: int, taps: int, like: Tensor) -> Tensor:
    """Return the matrices of linear interpolation from ``side`` to ``factor * side``, by tap.

    Returns:
        ``(taps, side, factor * side)``: for tap t, output p holds the interpolated value at
        p + t - taps // 2, or zero where that lies outside.

    Example:
        >>> shifted_interpolation(2, 1, 3, torch.zeros(1)).tolist()  # the value before, at, after
        [[[0.0, 1.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [1.0, 0.0]]]
    """
    coarse = torch.arange(side, device=like.device)[:, None]
    shift = torch.arange(-(taps // 2), taps // 2 + 1, device=like.device)[:, None]
    seen = torch.arange(factor * side, device=like.device) + shift
    inside = seen.clamp(0, factor * side - 1)
    positions = ((inside + 0.5) / factor - 0.5).clamp(0, side - 1)
    interpolation = F.relu(1 - (positions[:, None] - coarse).abs())
    return (interpolation * (seen == inside)[:, None]).to(like.dtype)
