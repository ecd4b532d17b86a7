"""Parts that the networks share: a convolution unit, a block of them, up-sampling."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.networks.checks import check_choice

CONVOLUTIONS: dict[int, Callable[..., nn.Conv2d | nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED_CONVOLUTIONS: dict[int, Callable[..., nn.Module]] = {
    2: nn.ConvTranspose2d,
    3: nn.ConvTranspose3d,
}
BATCH_NORMS = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
INSTANCE_NORMS = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
MAX_POOLS = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
LINEAR_MODES = {2: "bilinear", 3: "trilinear"}
ACTIVATIONS = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU}
NORMS = (None, "batch", "instance", "layer")
ORDERS = ("conv-norm-act", "conv-act-norm")
PADDINGS = ("same", "valid")


@dataclass(frozen=True)
class Style:
    """Settings of every convolution unit of one network."""

    spatial_dims: int
    norm: str | None = None
    act: str = "relu"
    padding: str = "same"
    order: str = "conv-norm-act"

    def __post_init__(self) -> None:
        check_choice("spatial_dims", self.spatial_dims, CONVOLUTIONS)
        check_choice("norm", self.norm, NORMS)
        check_choice("act", self.act, ACTIVATIONS)
        check_choice("padding", self.padding, PADDINGS)
        check_choice("block_order", self.order, ORDERS)


def normalisation(style: Style, channels: int) -> nn.Module:
    """Return batch or instance normalisation with learnt scale and shift, or per-sample layer norm.

    ``"layer"`` brings each sample to zero mean and unit deviation over all its channels and
    pixels and learns nothing (Erickson and Cai 2020, "layer normalization").
    """
    if style.norm == "batch":
        return BATCH_NORMS[style.spatial_dims](channels)
    if style.norm == "instance":
        return INSTANCE_NORMS[style.spatial_dims](channels, affine=True)
    if style.norm == "layer":
        return nn.GroupNorm(1, channels, affine=False)
    return nn.Identity()


def activation(style: Style) -> nn.Module:
    """Return the activation, in place: it overwrites only maps that nothing else reads."""
    return ACTIVATIONS[style.act](inplace=True)


def same_padding(kernel: Sequence[int]) -> tuple[int, ...]:
    """Return the zeros on each side of each axis after which a convolution keeps the size."""
    return tuple(side // 2 for side in kernel)


class ConvolutionUnit(nn.Module):
    """A convolution with its normalisation and activation, in the style's order.

    Called with a list of maps, it returns the convolution of their concatenation along channels;
    ``in_channels`` holds the channels of each map. Each map is convolved with its slice of the
    weight and the results are added, so no concatenated copy is made or kept for the backward pass.
    ``kernel`` holds the kernel's side along each axis, 3 by default.
    """

    def __init__(
        self,
        style: Style,
        in_channels: Sequence[int],
        out_channels: int,
        kernel: Sequence[int] | None = None,
        normalised: bool = True,
    ) -> None:
        super().__init__()
        sides = tuple(kernel or [3] * style.spatial_dims)
        padding = same_padding(sides) if style.padding == "same" else (0,) * style.spatial_dims
        self.in_channels = list(in_channels)
        self.padding = list(padding)
        self.convolution = CONVOLUTIONS[style.spatial_dims](
            sum(in_channels),
            out_channels,
            sides,
            padding=padding,
        )
        self.norm = normalisation(style, out_channels) if normalised else nn.Identity()
        self.activation = activation(style)
        self.order = style.order

    def forward(self, maps: Tensor | list[Tensor]) -> Tensor:
        """Maps ``(B, in_channels[i], *spatial)`` to ``(B, out_channels, *spatial)``."""
        if isinstance(maps, Tensor):
            features: Tensor = self.convolution(maps)
        else:
            features = self._sum_of_convolutions(maps)
        if self.order == "conv-act-norm":
            return self._normalised(self.activation(features))
        return self.activation(self._normalised(features))

    def _normalised(self, features: Tensor) -> Tensor:
        if torch.jit.is_scripting():
            return laid_out_as(features, self.norm(features))
        return laid_out_as(features, normalised(self.norm, features))

    def _sum_of_convolutions(self, maps: list[Tensor]) -> Tensor:
        kernels = self.convolution.weight.split(self.in_channels, dim=1)
        total = convolve(maps[0], kernels[0], self.convolution.bias, self.padding)
        for features, kernel in zip(maps[1:], kernels[1:], strict=True):
            total += convolve(features, kernel, None, self.padding)
        return total


def normalised(norm: nn.Module, features: Tensor) -> Tensor:
    """Normalise maps; where each has a single value, which has no moments, say what to do."""
    try:
        values: Tensor = norm(features)
    except ValueError:  # torch refuses the moments of a single value
        count, _, *sides = features.shape
        raise ValueError(
            f"{type(norm).__name__}: found maps of {' x '.join(map(str, sides))} in a "
            f"batch of {count}, which have one value to normalise; give larger patches, or a "
            "larger batch where the norm is of the batch"
        ) from None
    return values


def convolve(features: Tensor, kernel: Tensor, bias: Tensor | None, padding: list[int]) -> Tensor:
    """Convolve flat maps or volumes, whichever the kernel is for."""
    if kernel.dim() == 4:
        return F.conv2d(features, kernel, bias, padding=padding)
    return F.conv3d(features, kernel, bias, padding=padding)


class ConvolutionBlock(nn.Module):
    """Convolution units one after another; the first may take a list of maps.

    ``kernel`` and ``first_kernel`` hold the sides of all kernels and, where it differs, of the
    first.
    """

    def __init__(
        self,
        style: Style,
        in_channels: Sequence[int],
        out_channels: int,
        kernel: Sequence[int] | None = None,
        convs: int = 2,
        first_kernel: Sequence[int] | None = None,
        dropout: float = 0.0,
        last_normalised: bool = True,
    ) -> None:
        super().__init__()
        self.units = nn.ModuleList(
            ConvolutionUnit(
                style,
                (out_channels,) if index else in_channels,
                out_channels,
                kernel=kernel if index else first_kernel or kernel,
                normalised=last_normalised or index < convs - 1,
            )
            for index in range(convs)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, maps: Tensor | list[Tensor]) -> Tensor:
        """Maps ``(B, in_channels[i], *spatial)`` to ``(B, out_channels, *spatial)``."""
        for unit in self.units:
            maps = unit(maps)
        return self.dropout(maps)


def laid_out_as(other: Tensor, maps: Tensor) -> Tensor:
    """Return maps with their channels last in memory, where those of another tensor are last.

    For what forgets the layout of its input, as instance norm does. The layers after it would be
    slower, and each activation whose gradient comes in another layout several times as slow.
    """
    if maps.dim() == 4 and other.is_contiguous(memory_format=torch.channels_last):
        return maps.contiguous(memory_format=torch.channels_last)
    if maps.dim() == 5 and other.is_contiguous(memory_format=torch.channels_last_3d):
        return maps.contiguous(memory_format=torch.channels_last_3d)
    return maps


def with_axes(values: Tensor, axes: int) -> Tensor:
    """Append axes of one element, so that values of each channel meet maps."""
    for _ in range(axes):
        values = values.unsqueeze(-1)
    return values


def transposed_up(
    style: Style, in_channels: int, out_channels: int, stride: Sequence[int]
) -> nn.Module:
    """Undo a pooling by a transposed convolution whose kernel and stride are the pooling's factors.

    A pooling of 2 x 2 gives Ronneberger's up-conv.
    """
    sides = tuple(stride)
    return TRANSPOSED_CONVOLUTIONS[style.spatial_dims](in_channels, out_channels, sides, sides)


def linear_up(
    style: Style, in_channels: int, out_channels: int, stride: Sequence[int]
) -> nn.Module:
    """Undo a pooling by a 1 x 1 convolution and linear interpolation."""
    factors = tuple(map(float, stride))
    return nn.Sequential(
        CONVOLUTIONS[style.spatial_dims](in_channels, out_channels, 1),
        nn.Upsample(scale_factor=factors, mode=LINEAR_MODES[style.spatial_dims]),
    )


def max_pools(style: Style, strides: Sequence[Sequence[int]]) -> nn.ModuleList:
    """Return one pooling for each of the strides, which hold a factor for each axis."""
    return nn.ModuleList(MAX_POOLS[style.spatial_dims](tuple(stride)) for stride in strides)
