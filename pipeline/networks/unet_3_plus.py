"""UNet 3+: full-scale skips, full-scale deep supervision, classification-guided output."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.networks.blocks import (
    CONVOLUTIONS,
    LINEAR_MODES,
    ConvolutionBlock,
    Style,
    max_pools,
    same_padding,
    with_axes,
)
from pipeline.networks.checks import check_features, check_image
from pipeline.networks.full_scale import FullScaleNode
from pipeline.networks.heads import GuidedOutput
from pipeline.networks.initialisation import initialise_he_normal
from pipeline.networks.pyramid import check_pyramid
from pipeline.networks.sizes import crop_far, pad_to_multiple

SCALES = 5
ABSENT_LOGIT = -100.0


class UNet3Plus(nn.Module):
    """UNet 3+ of Huang et al. (ICASSP 2020): every decoder node sees all five scales.

    A decoder node takes each finer encoder map (max-pooled), the encoder map of its own scale and
    each coarser decoder map (linearly up-sampled; the coarsest is the bottleneck). A 3 x 3
    convolution reduces each of them to ``skip_channels``, and another one fuses the
    ``5 * skip_channels`` (the paper's equation 1). Heads are 3 x 3 convolutions. Weights start
    He-normal.

    With ``deep_supervision`` every decoder node and the bottleneck has a head, up-sampled to the
    image. In training the network then returns a **list, the full-resolution head first**; in
    evaluation it always returns one tensor, the logits of the full-resolution head.

    With ``classification_guided`` a module on the bottleneck (dropout, 1 x 1 convolution, global
    maximum) predicts for each output channel whether the class is in the image at all. In
    evaluation it is a hard gate: an absent class gets the logit -100 everywhere. In training
    nothing is gated, since a gate of 0 or 1 passes no gradient to the classifier, and a wrong gate
    would stop the gradient of the heads. The network then returns a :class:`GuidedOutput`, and the
    classifier learns from its own term (:class:`pipeline.losses.ClassificationGuidedLoss`).

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: logits per pixel: 1 for a sigmoid, the number of classes for a softmax.
        features: channels of the five encoder levels, the image's level first.
        skip_channels: channels that each scale brings to a decoder node. With fewer ``features``
            choose fewer of these as well: they take most of the time.
        norm: None, ``"batch"``, ``"instance"`` or ``"layer"``.
        act: ``"relu"``, ``"leaky_relu"`` or ``"elu"``.
        deep_supervision: whether all five scales have a head.
        classification_guided: whether the presence of each class is predicted and gates it.
        strides: for each of the four poolings, the finest first, its factor along each axis, 1 or
            2; None: 2 along every axis. All changes of scale follow them.
        kernels: for each of the five scales, the finest first, the side of its kernels along each
            axis, 1 or 3; None: 3 along every axis.

    Shapes:
        Image ``(B, in_channels, *spatial)`` to logits ``(B, out_channels, *spatial)``; a side that
        is no multiple of 16 (of the product of its axis' strides) is padded at its far end and the
        logits are cropped back.

    Raises:
        ValueError: an argument outside its choices, features of another number than five, or an
            image of another shape.

    Example:
        >>> network = UNet3Plus(2, 1, 1, (4, 4, 8, 8, 8), skip_channels=4, deep_supervision=True)
        >>> [tuple(head.shape) for head in network(torch.zeros(2, 1, 40, 32))][0]
        (2, 1, 40, 32)
        >>> network.eval()(torch.zeros(2, 1, 40, 32)).shape
        torch.Size([2, 1, 40, 32])
    """

    __jit_unused_properties__ = ("feature_names",)  # not for TorchScript

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        features: Sequence[int] = (64, 128, 256, 512, 1024),
        skip_channels: int = 64,
        norm: str | None = "batch",
        act: str = "relu",
        deep_supervision: bool = False,
        classification_guided: bool = False,
        strides: Sequence[Sequence[int]] | None = None,
        kernels: Sequence[Sequence[int]] | None = None,
    ) -> None:
        super().__init__()
        check_features("UNet3Plus", features, SCALES)
        style = Style(spatial_dims, norm, act)
        pyramid = check_pyramid("UNet3Plus", spatial_dims, SCALES, strides, kernels)
        convolution = CONVOLUTIONS[spatial_dims]
        wide = SCALES * skip_channels
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.deep_supervision = deep_supervision
        self.classification_guided = classification_guided
        self.multiples = list(pyramid.multiples)
        self.factors = [[*map(float, pyramid.factors(0, scale))] for scale in range(SCALES)]
        self.upsampling = LINEAR_MODES[spatial_dims]
        self.absent_logit = ABSENT_LOGIT
        self.pools = nn.ModuleList([nn.Identity(), *max_pools(style, pyramid.strides)])
        self.encoder = nn.ModuleList(
            ConvolutionBlock(style, (above,), channels, kernel)
            for above, channels, kernel in zip(
                [in_channels, *features[:-1]], features, pyramid.kernels, strict=True
            )
        )
        self.decoder = nn.ModuleList(
            FullScaleNode(
                style,
                pyramid,
                scale,
                (*features[: scale + 1], *[wide] * (SCALES - 2 - scale), features[-1]),
                skip_channels,
            )
            for scale in range(SCALES - 1)
        )
        head_inputs = [*[wide] * (SCALES - 1), features[-1]] if deep_supervision else [wide]
        self.heads = nn.ModuleList(
            convolution(channels, out_channels, kernel, padding=same_padding(kernel))
            for channels, kernel in zip(head_inputs, pyramid.kernels, strict=False)
        )
        self.classifier = (
            nn.Sequential(nn.Dropout(0.5), convolution(features[-1], 2 * out_channels, 1))
            if classification_guided
            else None
        )
        initialise_he_normal(self)

    def forward(self, image: Tensor) -> Tensor | list[Tensor] | GuidedOutput:
        """One tensor of logits; in training a list with deep supervision, or a guided output."""
        if not torch.jit.is_scripting():
            check_image("UNet3Plus", image, self.spatial_dims, self.in_channels)
        scales = self._scales(pad_to_multiple(image, self.multiples))
        if self.training:
            heads = self._heads(scales, list(image.shape[2:]))
            if self.classifier is not None:
                return GuidedOutput(heads, self._presence(self.classifier(scales[-1])))
            if self.deep_supervision:
                return heads
            return heads[0]
        logits = crop_far(self.heads[0](scales[0]), list(image.shape[2:]))
        if self.classifier is not None:
            return self._gated(logits, self._presence(self.classifier(scales[-1])))
        return logits

    def feature_modules(self) -> dict[str, nn.Module]:
        """Return the module behind each intermediate map, in the order of computation."""
        *down, bottleneck = self.encoder
        up = [(f"decoder{scale}", node) for scale, node in enumerate(self.decoder, start=1)]
        return {
            **{f"encoder{scale}": block for scale, block in enumerate(down, start=1)},
            "bottleneck": bottleneck,
            **dict(reversed(up)),
        }

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names for :func:`pipeline.networks.feature_maps`."""
        return tuple(self.feature_modules())

    def _scales(self, image: Tensor) -> list[Tensor]:
        """Return the decoder maps, the finest scale first, and the bottleneck."""
        scales: list[Tensor] = []
        features = image
        for pool, block in zip(self.pools, self.encoder, strict=True):
            features = block(pool(features))
            scales.append(features)
        for scale in range(len(scales) - 2, -1, -1):
            # to pick a scale: TorchScript can neither index a list of modules nor reverse it
            for i, node in enumerate(self.decoder):
                if i == scale:
                    scales[scale] = node(scales)
        return scales

    def _heads(self, scales: list[Tensor], sides: list[int]) -> list[Tensor]:
        heads: list[Tensor] = []
        for scale, head in enumerate(self.heads):
            logits = head(scales[scale])
            if scale > 0:
                factors = self.factors[scale]
                logits = F.interpolate(logits, scale_factor=factors, mode=self.upsampling)
            heads.append(crop_far(logits, sides))
        return heads

    def _presence(self, evidence: Tensor) -> Tensor:
        strongest = evidence.flatten(2).amax(dim=2)
        return strongest.unflatten(1, [2, self.out_channels])

    def _gated(self, logits: Tensor, presence: Tensor) -> Tensor:
        absent, present = presence.unbind(dim=1)
        gate = with_axes(present > absent, self.spatial_dims)
        return torch.where(gate, logits, torch.full_like(logits, self.absent_logit))
