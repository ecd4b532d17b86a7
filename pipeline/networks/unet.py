"""U-Net: a contracting path, an expanding path, and a skip at every level."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.networks.blocks import (
    CONVOLUTIONS,
    ConvolutionBlock,
    ConvolutionUnit,
    Style,
    activation,
    linear_up,
    max_pools,
    transposed_up,
)
from pipeline.networks.checks import check_choice, check_features, check_image
from pipeline.networks.initialisation import INITIALISATIONS
from pipeline.networks.pyramid import Pyramid, check_pyramid
from pipeline.networks.sizes import (
    crop_centre,
    crop_far,
    nearest_valid_sides,
    pad_to_multiple,
    valid_output_side,
)

UPSAMPLINGS = {"transposed": transposed_up, "linear": linear_up}
NORM_PATHS = ("both", "contracting")


class UNet(nn.Module):
    """U-Net of Ronneberger, Fischer and Brox (MICCAI 2015), and the variants of the papers.

    Each level of the contracting path has ``convs_per_level`` 3 x 3 convolutions and a 2 x 2
    max-pooling; each level of the expanding path doubles the side, halves the channels, takes the
    skip of its level and convolves again; a 1 x 1 convolution gives the logits. The weights start
    He-normal. The defaults are the paper's, except that the convolutions are padded so that the
    logits have the image's size; ``padding="valid"`` is the paper's own.

    The papers' variants, by the arguments that differ from the defaults:

    - Ronneberger et al.: ``out_channels=2, padding="valid"``; an image of 572 x 572 gives logits
      of 388 x 388 (figure 1).
    - Andersen: ``features=(32, 64, 128, 256, 512), norm="batch", block_order="conv-act-norm",
      dropout=0.0, upsample_act=True``. It has four poolings: from an image of 512 x 512 a map of
      32 x 32 x 256 enters the bottleneck (figure 2; the text says three layers).
    - Erickson and Cai: ``features=(8, 16, 32, 64, 128, 128), norm="layer",
      norm_path="contracting", block_order="conv-act-norm", dropout=0.0, first_kernel_size=5,
      convs_per_level=1, init="he_truncated"``. The paper gives the first and the last number of
      kernels; doubling between them reaches 128 at the fifth level, and the 8 x 8 bottleneck after
      the fifth pooling keeps it. Normalisation lies between convolution and pooling (figure 2).
    - Mane and Mittal: ``padding="valid", extra_head_convs=2``; 700 x 700 gives 512 x 512
      (section 2.1).
    - The ten experiments: ``dropout=0.0, upsample_act=True`` with 64 or 16 filters at the first
      level, with ``norm="batch"`` or without, and ``last_norm=False`` in experiment 2. The paper's
      largest network, 31,054,145 numbers, has 64 filters and batch norm, whose running statistics
      count; its smallest, 1,940,817, has 16 filters and no batch norm.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: logits per pixel: 1 for a sigmoid, the number of classes for a softmax.
        features: channels of each level, the image's level first, the bottleneck last; a pooling
            lies between two levels.
        norm: None, ``"batch"``, ``"instance"`` or ``"layer"`` (per sample, nothing learnt).
        act: ``"relu"``, ``"leaky_relu"`` or ``"elu"``.
        dropout: probability at the end of the contracting path: after the last level before the
            bottleneck and after the bottleneck. The paper gives no number; its authors' code has
            0.5.
        padding: ``"same"`` or ``"valid"``.
        upsample: ``"transposed"`` (2 x 2, stride 2) or ``"linear"`` (1 x 1 convolution, then
            interpolation).
        upsample_act: whether the up-sampled map passes the activation before it meets the skip.
        first_kernel_size: side of the very first kernel, an odd number.
        block_order: ``"conv-norm-act"`` or ``"conv-act-norm"``.
        convs_per_level: convolutions of each level, on both paths.
        extra_head_convs: further 3 x 3 convolutions before the 1 x 1 one.
        last_norm: whether the last convolution before the 1 x 1 one is normalised.
        norm_path: ``"both"``, or ``"contracting"``: the levels before a pooling alone are
            normalised, not the bottleneck and the expanding path.
        init: ``"he_normal"``, or ``"he_truncated"``, as Keras draws it
            (:func:`pipeline.networks.initialisation.initialise_he_truncated`).
        pixel_unshuffle: factor by which pixels become channels before the first level and channels
            become pixels again after the last one (Shi et al., CVPR 2016). With 2 each square of
            2 x 2 pixels becomes 4 channels. All levels then have half the sides, so a step takes
            about 0.3 of the time, and every pixel still has its own logit. 1 (off), 2 or 4; more
            than 1 needs two dimensions and ``padding="same"``.
        strides: for each pooling, the finest first, its factor along each axis, 1 or 2; None: 2
            along every axis. ``[[2, 2, 1], [2, 2, 2]]`` leaves thick slices alone at first. Other
            strides than 2 need ``padding="same"``.
        kernels: for each level, the image's level first, the bottleneck last, the side of its
            kernels along each axis, 1 or 3; None: 3 along every axis. ``first_kernel_size`` stands
            for the 3 of the very first kernel. Other kernels than 3 need ``padding="same"``.
        deep_supervision: whether in training the maps of coarser decoder levels give logits too, a
            1 x 1 convolution interpolated to the image's pixels. As in nnU-Net (Isensee et al.,
            2021), whose weight for it is 0, the coarsest decoder level gives none: with L poolings
            there are L - 1 heads, and one at least.

    Shapes:
        Image ``(B, in_channels, *spatial)`` to logits ``(B, out_channels, *spatial)``. A side that
        is no multiple of ``pixel_unshuffle`` x 2^poolings (of the product of its axis' strides) is
        padded at its far end with its last pixel, and the logits are cropped back. With ``"valid"``
        the logits have the sides of :meth:`output_side`. With deep supervision a list of such
        logits in training, the finest level's first; in evaluation the finest level's alone.

    Raises:
        ValueError: an argument outside its choices, features of fewer than two levels, an image
            of another shape, or, with ``"valid"``, a side that does not fit.

    Example:
        >>> network = UNet(2, in_channels=1, out_channels=1, features=(4, 8, 16))
        >>> network(torch.zeros(1, 1, 33, 70)).shape
        torch.Size([1, 1, 33, 70])
        >>> network.feature_names
        ('encoder1', 'encoder2', 'bottleneck', 'decoder2', 'decoder1')
    """

    __jit_unused_properties__ = ("feature_names",)  # not for TorchScript

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        features: Sequence[int] = (64, 128, 256, 512, 1024),
        norm: str | None = None,
        act: str = "relu",
        dropout: float = 0.5,
        padding: str = "same",
        upsample: str = "transposed",
        upsample_act: bool = False,
        first_kernel_size: int = 3,
        block_order: str = "conv-norm-act",
        convs_per_level: int = 2,
        extra_head_convs: int = 0,
        last_norm: bool = True,
        norm_path: str = "both",
        init: str = "he_normal",
        pixel_unshuffle: int = 1,
        strides: Sequence[Sequence[int]] | None = None,
        kernels: Sequence[Sequence[int]] | None = None,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        check_features("UNet", features)
        factors = (1, 2, 4) if spatial_dims == 2 and padding == "same" else (1,)
        check_choice("pixel_unshuffle", pixel_unshuffle, factors)
        check_choice("upsample", upsample, UPSAMPLINGS)
        check_choice("norm_path", norm_path, NORM_PATHS)
        check_choice("init", init, INITIALISATIONS)
        check_choice("first_kernel_size", first_kernel_size, (1, 3, 5, 7, 9))
        style = Style(spatial_dims, norm, act, padding, block_order)
        pyramid = check_pyramid("UNet", spatial_dims, len(features), strides, kernels)
        _check_padding(padding, pyramid)
        block = partial(ConvolutionBlock, style, convs=convs_per_level)
        style_after = replace(style, norm=norm if norm_path == "both" else None)
        block_after = partial(ConvolutionBlock, style_after, convs=convs_per_level)
        *levels, bottom = features
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.padding = padding
        self.poolings = len(levels)
        self.pixel_unshuffle = pixel_unshuffle
        self.deep_supervision = deep_supervision
        self.multiples = [pixel_unshuffle * factor for factor in pyramid.multiples]
        square = pixel_unshuffle**2  # pixels that become channels
        first_kernel = [first_kernel_size if side == 3 else 1 for side in pyramid.kernels[0]]
        trim = 2 * convs_per_level
        self._encoder_trims = [trim + first_kernel_size - 3] + [trim] * len(levels)
        self._decoder_trims = [trim] * (len(levels) - 1) + [trim + 2 * extra_head_convs]

        self.encoder = nn.ModuleList(
            block(
                (above,),
                channels,
                pyramid.kernels[level - 1],
                first_kernel=first_kernel if level == 1 else None,
                dropout=dropout if level == len(levels) else 0.0,
            )
            for level, (above, channels) in enumerate(
                pairwise([in_channels * square, *levels]), start=1
            )
        )
        self.pools = max_pools(style, pyramid.strides)
        self.bottleneck = block_after((levels[-1],), bottom, pyramid.kernels[-1], dropout=dropout)
        self.upsample = nn.ModuleList(
            nn.Sequential(
                UPSAMPLINGS[upsample](style, below, channels, stride),
                *([activation(style)] if upsample_act else []),
            )
            for (channels, below), stride in zip(pairwise(features), pyramid.strides, strict=True)
        )
        self.decoder = nn.ModuleList(
            block_after(
                (channels, channels),
                channels,
                pyramid.kernels[level - 1],
                last_normalised=last_norm or level > 1 or extra_head_convs > 0,
            )
            for level, channels in enumerate(levels, start=1)
        )
        self.head = nn.Sequential(
            *(
                ConvolutionUnit(
                    style_after,
                    levels[:1],
                    levels[0],
                    pyramid.kernels[0],
                    normalised=last_norm or index < extra_head_convs,
                )
                for index in range(1, extra_head_convs + 1)
            ),
            CONVOLUTIONS[spatial_dims](levels[0], out_channels * square, 1),
        )
        INITIALISATIONS[init](self)
        supervised = range(1, len(levels) - 1) if deep_supervision else ()
        self.coarse_heads = nn.ModuleList(
            linear_up(
                style,
                levels[level],
                out_channels,
                [pixel_unshuffle * factor for factor in pyramid.factors(0, level)],
            )
            for level in supervised
        )
        INITIALISATIONS[init](self.coarse_heads)

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """Image ``(B, in_channels, *spatial)`` to logits; in training with heads a list of them."""
        if not torch.jit.is_scripting():
            self._check(image)
        maps = self._decoder_maps(self._prepared(image))
        logits = self._fitted(self._shuffled(self.head(maps[0])), image)
        if not (self.training and self.deep_supervision):
            return logits
        heads = [logits]
        for level, head in enumerate(self.coarse_heads, start=1):
            coarse = head(maps[level])
            if self.padding == "valid":
                heads.append(crop_centre(coarse, list(logits.shape[2:])))
            else:
                heads.append(self._fitted(coarse, image))
        return heads

    def output_side(self, side: int) -> int:
        """Return the side of the logits for a side of the image; ValueError where it does not fit.

        >>> UNet(2, 1, 1, features=(1, 1, 1, 1, 1), padding="valid").output_side(572)
        388
        """
        if self.padding == "same":
            return side
        trims = self._encoder_trims, self._decoder_trims
        output = valid_output_side(side, *trims)
        if output is None:
            nearest = " or ".join(str(fit) for fit in nearest_valid_sides(side, *trims))
            raise ValueError(
                f"UNet image: found a side of {side}, expected one that fits {self.poolings} "
                f"poolings between unpadded convolutions; use {nearest}, or padding: same"
            )
        return output

    def feature_modules(self) -> dict[str, nn.Module]:
        """Return the module behind each intermediate map, in the order of computation."""
        down = {f"encoder{level}": block for level, block in enumerate(self.encoder, start=1)}
        up = {f"decoder{level}": block for level, block in enumerate(self.decoder, start=1)}
        return {**down, "bottleneck": self.bottleneck, **dict(reversed(up.items()))}

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names for :func:`pipeline.networks.feature_maps`: 4 + 1 + 4 with five levels."""
        return tuple(self.feature_modules())

    def _check(self, image: Tensor) -> None:
        check_image("UNet", image, self.spatial_dims, self.in_channels)
        if not torch.jit.is_tracing():
            for side in image.shape[2:]:
                self.output_side(side)

    def _prepared(self, image: Tensor) -> Tensor:
        """Pad to the poolings, and turn squares of pixels into channels."""
        if self.padding == "same":
            image = pad_to_multiple(image, self.multiples)
        if self.pixel_unshuffle > 1:
            return F.pixel_unshuffle(image, self.pixel_unshuffle)
        return image

    def _shuffled(self, logits: Tensor) -> Tensor:
        if self.pixel_unshuffle > 1:
            return F.pixel_shuffle(logits, self.pixel_unshuffle)
        return logits

    def _fitted(self, logits: Tensor, image: Tensor) -> Tensor:
        """Undo the padding."""
        if self.padding == "same":
            return crop_far(logits, list(image.shape[2:]))
        return logits

    def _decoder_maps(self, image: Tensor) -> list[Tensor]:
        """Return the maps of the decoder levels that heads read, the finest first."""
        skips: list[Tensor] = []
        features = image
        for block, pool in zip(self.encoder, self.pools, strict=True):
            skips.append(block(features))
            features = pool(skips[-1])
        features = self.bottleneck(features)
        maps: list[Tensor] = []
        for level in range(self.poolings - 1, -1, -1):
            # to pick a level: TorchScript can neither index a list of modules nor reverse it
            for i, (up, joined) in enumerate(zip(self.upsample, self.decoder, strict=True)):
                if i == level:
                    features = up(features)
                    skip = skips.pop()
                    if self.padding == "valid":
                        skip = crop_centre(skip, list(features.shape[2:]))
                    features = joined([skip, features])
                    if level == 0 or (self.training and self.deep_supervision):
                        maps.append(features)  # others are freed as soon as they are used
        return maps[::-1]


def _check_padding(padding: str, pyramid: Pyramid) -> None:
    """Refuse unpadded convolutions whose output sides differ from axis to axis."""
    if padding == "valid" and not pyramid.is_isotropic:
        raise ValueError(
            f"UNet padding: found 'valid' with strides {pyramid.strides} and kernels "
            f"{pyramid.kernels}, expected strides of 2 and kernels of 3 along every axis; set "
            "padding: same, or leave strides and kernels out"
        )
