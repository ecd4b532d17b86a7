"""UNet++: nested dense skips, deep supervision on the full-resolution nodes, and pruning."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.networks.blocks import (
    CONVOLUTIONS,
    ConvolutionBlock,
    Style,
    max_pools,
    transposed_up,
)
from pipeline.networks.checks import check_choice, check_features, check_image
from pipeline.networks.heads import logit_of_mean
from pipeline.networks.initialisation import initialise_he_normal
from pipeline.networks.pyramid import check_pyramid
from pipeline.networks.sizes import crop_far, pad_to_multiple


class UNetPlusPlus(nn.Module):
    """UNet++ of Zhou et al. (DLMIA 2018): a node at every level and column of the nested U.

    Node X(i, j) convolves (twice 3 x 3) the nodes X(i, 0) … X(i, j - 1) of its level i together
    with the up-sampled X(i + 1, j - 1); column 0 is the encoder. Weights start He-normal.

    With deep supervision each full-resolution node X(0, 1) … X(0, L) has a 1 x 1 head. In training
    the network then returns a **list, most refined head first**: ``[X(0, L), …, X(0, 1)]``. In
    evaluation it always returns one tensor: the logit of the heads' mean probability (the paper's
    accurate mode), or one head (its fast mode; :meth:`pruned` also saves the time).

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: logits per pixel: 1 for a sigmoid, the number of classes for a softmax.
        features: channels of each level, the image's level first; L = ``len(features) - 1``.
        norm: None, ``"batch"``, ``"instance"`` or ``"layer"``.
        act: ``"relu"``, ``"leaky_relu"`` or ``"elu"``.
        dropout: probability at the end of every node.
        deep_supervision: whether each of the L full-resolution nodes has a head.
        evaluation_head: with deep supervision, the head from 1 to L that evaluation returns, or
            None for the mean.
        multi_label: whether several channels are independent labels, each with its sigmoid, and
            not classes of one softmax. The mean of the heads is taken of these probabilities.
        strides: for each pooling, the finest first, its factor along each axis, 1 or 2; None: 2
            along every axis.
        kernels: for each level, the image's level first, the side of its kernels along each axis,
            1 or 3; None: 3 along every axis.

    Shapes:
        Image ``(B, in_channels, *spatial)`` to logits ``(B, out_channels, *spatial)``; a side that
        is no multiple of 2^L (of the product of its axis' strides) is padded at its far end and the
        logits are cropped back.

    Raises:
        ValueError: an argument outside its choices, features of fewer than two levels, an image
            of another shape, or a level outside 1 to L.

    Example:
        >>> import torch
        >>> network = UNetPlusPlus(2, 1, 1, features=(4, 8, 16), deep_supervision=True)
        >>> [head.shape[2:] for head in network(torch.zeros(1, 1, 30, 32))]
        [torch.Size([30, 32]), torch.Size([30, 32])]
        >>> network.eval()(torch.zeros(1, 1, 30, 32)).shape
        torch.Size([1, 1, 30, 32])
        >>> network.feature_names
        ('x0_0', 'x1_0', 'x0_1', 'x2_0', 'x1_1', 'x0_2')
    """

    __jit_unused_properties__ = ("feature_names",)  # not for TorchScript

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        features: Sequence[int] = (32, 64, 128, 256, 512),
        norm: str | None = None,
        act: str = "relu",
        dropout: float = 0.0,
        deep_supervision: bool = False,
        evaluation_head: int | None = None,
        multi_label: bool = False,
        strides: Sequence[Sequence[int]] | None = None,
        kernels: Sequence[Sequence[int]] | None = None,
    ) -> None:
        super().__init__()
        check_features("UNetPlusPlus", features)
        self.depth = len(features) - 1
        heads = range(1, self.depth + 1) if deep_supervision else (self.depth,)
        check_choice("evaluation_head", evaluation_head, (None, *heads))
        style = Style(spatial_dims, norm, act)
        pyramid = check_pyramid("UNetPlusPlus", spatial_dims, len(features), strides, kernels)
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.features = tuple(features)
        self.style = style
        self.dropout = dropout
        self.deep_supervision = deep_supervision
        self.evaluation_head = evaluation_head
        self.multi_label = multi_label
        self.pyramid = pyramid
        self.multiples = list(pyramid.multiples)
        pools = max_pools(style, pyramid.strides)
        self.pools = nn.ModuleList()  # one for each node, and so for up-sampling; most do nothing
        self.nodes = nn.ModuleDict()
        self.upsample = nn.ModuleDict()
        self.order = self._order()
        for level, column in self.order:
            channels = features[level]
            pool: nn.Module = nn.Identity()
            upsample: nn.Module = nn.Identity()
            if column > 0:
                inputs = [channels] * (column + 1)
                upsample = transposed_up(
                    style, features[level + 1], channels, pyramid.strides[level]
                )
            elif level > 0:
                inputs = [features[level - 1]]
                pool = pools[level - 1]
            else:
                inputs = [in_channels]
            self.pools.append(pool)
            self.upsample[f"x{level}_{column}"] = upsample
            self.nodes[f"x{level}_{column}"] = ConvolutionBlock(
                style, inputs, channels, pyramid.kernels[level], dropout=dropout
            )
        self.heads = nn.ModuleDict(
            {
                f"x0_{head}": CONVOLUTIONS[spatial_dims](features[0], out_channels, 1)
                for head in heads
            }
        )
        initialise_he_normal(self)

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """One tensor of logits; in training with deep supervision the list of all heads."""
        if not torch.jit.is_scripting():
            check_image("UNetPlusPlus", image, self.spatial_dims, self.in_channels)
        maps = self._full_resolution_nodes(pad_to_multiple(image, self.multiples))
        logits: list[Tensor] = []  # the least refined head first
        for column, head in enumerate(self.heads.values(), len(maps) - len(self.heads)):
            logits.append(crop_far(head(maps[column]), list(image.shape[2:])))
        if self.training and self.deep_supervision:
            return logits[::-1]
        if self.evaluation_head is not None:
            return logits[self.evaluation_head - self.depth - 1]
        return logit_of_mean(logits, softmax=self.out_channels > 1 and not self.multi_label)

    def pruned(self, level: int) -> "UNetPlusPlus":
        """Return the smaller network that ends in head ``level`` (the paper's L1 … L4).

        It is for inference. Its output equals that head of this network in evaluation, bit for bit
        and at every image size, since it keeps this network's padding. It lacks the weights that
        the head does not need.

        >>> network = UNetPlusPlus(2, 1, 1, deep_supervision=True)
        >>> sum(weight.numel() for weight in network.pruned(1).parameters())
        100961
        """
        if not self.deep_supervision:
            raise ValueError(
                "UNetPlusPlus pruned: found a network without deep supervision, expected one with "
                "a trained head at every level; train with deep_supervision: true"
            )
        check_choice("UNetPlusPlus pruned level", level, range(1, self.depth + 1))
        smaller = UNetPlusPlus(
            self.spatial_dims,
            self.in_channels,
            self.out_channels,
            features=self.features[: level + 1],
            norm=self.style.norm,
            act=self.style.act,
            dropout=self.dropout,
            multi_label=self.multi_label,
            strides=self.pyramid.strides[:level],
            kernels=self.pyramid.kernels[: level + 1],
        )
        weights = self.state_dict()
        smaller.load_state_dict({name: weights[name] for name in smaller.state_dict()})
        smaller.multiples = self.multiples
        first = next(self.parameters())
        return smaller.to(first.device, first.dtype).train(self.training)

    def feature_modules(self) -> dict[str, nn.Module]:
        """Return the module behind each node X(i, j), in the order of computation."""
        return dict(self.nodes.items())

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names for :func:`pipeline.networks.feature_maps`: node X(i, j) is ``xi_j``."""
        return tuple(self.feature_modules())

    def _order(self) -> list[tuple[int, int]]:
        """Return (level, column) along the diagonals; each diagonal completes one more nested U."""
        return [
            (level, diagonal - level)
            for diagonal in range(self.depth + 1)
            for level in reversed(range(diagonal + 1))
        ]

    def _full_resolution_nodes(self, image: Tensor) -> list[Tensor]:
        rows: list[list[Tensor]] = [[] for _ in range(self.depth + 1)]
        steps = zip(self.pools, self.upsample.values(), self.nodes.values(), strict=True)
        for i, (pool, upsample, node) in enumerate(steps):
            level, column = self.order[i]
            if column > 0:
                skips = list(rows[level])
                skips.append(upsample(rows[level + 1][column - 1]))
                maps = node(skips)
            elif level > 0:
                maps = node(pool(rows[level - 1][0]))
            else:
                maps = node(image)
            rows[level].append(maps)
        return rows[0]
