"""The contracting path of our networks: blocks of convolutions with a pooling before each."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from pipeline.networks import Ensemble, UNet, UNet3Plus, UNetPlusPlus
from pipeline.networks.blocks import ConvolutionBlock


class Level(NamedTuple):
    """A level of a contracting path.

    Attributes:
        name: name of its step.
        pool: pooling before the block; an identity at the image's level.
        block: its convolutions.
    """

    name: str
    pool: nn.Module
    block: ConvolutionBlock


class EncoderPath(NamedTuple):
    """A contracting path.

    Attributes:
        levels: levels, the image's first, the bottleneck last.
        multiples: numbers of whose multiples the image's sides are, after padding.
        pixel_unshuffle: factor by which pixels become channels before the first level.
    """

    levels: Sequence[Level]
    multiples: Sequence[int]
    pixel_unshuffle: int = 1


def encoder_path(network: nn.Module) -> EncoderPath:
    """Return the contracting path of a network; of an ensemble that of its first member.

    Raises:
        ValueError: a network of another kind, or one of unpadded convolutions.

    Example:
        >>> [level.name for level in encoder_path(UNetPlusPlus(2, 1, 1, features=(2, 4))).levels]
        ['x0_0', 'x1_0']
    """
    if isinstance(network, Ensemble):
        return encoder_path(network.members[0])
    if isinstance(network, UNet) and network.padding == "same":
        return EncoderPath(_of_unet(network), network.multiples, network.pixel_unshuffle)
    if isinstance(network, UNetPlusPlus):
        return EncoderPath(_of_unet_plus_plus(network), network.multiples)
    if isinstance(network, UNet3Plus):
        names = [*(f"encoder{i + 1}" for i in range(len(network.encoder) - 1)), "bottleneck"]
        return EncoderPath(_levels(names, network.pools, network.encoder), network.multiples)
    raise ValueError(
        f"{type(network).__name__}: found no contracting path to look back along; expected UNet "
        "with padded convolutions, UNet++ or UNet 3+"
    )


def _of_unet(network: UNet) -> list[Level]:
    names = [*(f"encoder{i + 1}" for i in range(network.poolings)), "bottleneck"]
    pools = [nn.Identity(), *network.pools]
    return _levels(names, pools, [*network.encoder, network.bottleneck])


def _of_unet_plus_plus(network: UNetPlusPlus) -> list[Level]:
    pools = dict(zip(network.order, network.pools, strict=True))
    backbone = [(level, 0) for level in range(network.depth + 1)]
    names = [f"x{level}_0" for level, _ in backbone]
    return _levels(names, [pools[node] for node in backbone], [network.nodes[n] for n in names])


def _levels(
    names: Sequence[str],
    pools: Sequence[nn.Module] | nn.ModuleList,
    blocks: Sequence[nn.Module] | nn.ModuleList,
) -> list[Level]:
    levels = []
    for name, pool, block in zip(names, pools, blocks, strict=True):
        assert isinstance(block, ConvolutionBlock)
        levels.append(Level(name, pool, block))
    return levels
