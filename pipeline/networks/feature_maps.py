"""Intermediate maps by name, for explanation."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import torch
from monai.networks.nets import BasicUNet
from torch import Tensor, nn


def feature_modules(network: nn.Module) -> dict[str, nn.Module]:
    """Return the module behind each intermediate map, by name, in the order the maps arise.

    This package's networks name their own (``feature_names``), MONAI's ``BasicUNet`` gets the names
    of our U-Net; of any other network every submodule is known by PyTorch's own name for it.

    Example:
        >>> list(feature_modules(BasicUNet(2, 1, 1)))[3:6]
        ['encoder4', 'bottleneck', 'decoder4']
        >>> list(feature_modules(nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU())))
        ['0', '1']
    """
    named: Callable[[], dict[str, nn.Module]] | None = getattr(network, "feature_modules", None)
    if named is not None:
        return named()
    if isinstance(network, BasicUNet):
        return _of_basic_unet(network)
    return {name: module for name, module in network.named_modules() if name}


def _of_basic_unet(network: BasicUNet) -> dict[str, nn.Module]:
    down = [network.conv_0, network.down_1, network.down_2, network.down_3]
    up = [network.upcat_4, network.upcat_3, network.upcat_2, network.upcat_1]
    return {
        **{f"encoder{level}": module for level, module in enumerate(down, start=1)},
        "bottleneck": network.down_4.convs,  # without its pooling, so that what enters is pooled
        **{f"decoder{level}": module for level, module in zip((4, 3, 2, 1), up, strict=True)},
    }


def bottleneck_of(network: nn.Module) -> str:
    """Return the name of the deepest step, whose input is the latent space.

    Raises:
        ValueError: a network of another kind, whose steps have to be named.

    Example:
        >>> from pipeline.networks import UNet, UNetPlusPlus
        >>> bottleneck_of(UNet(2, 1, 1, features=(4, 8))), bottleneck_of(UNetPlusPlus(2, 1, 1))
        ('bottleneck', 'x4_0')
    """
    modules = feature_modules(network)
    if "bottleneck" in modules:
        return "bottleneck"
    backbone = [name for name in modules if name.startswith("x") and name.endswith("_0")]
    if backbone:
        return backbone[-1]  # node X(depth, 0) of UNet++
    raise ValueError(
        f"{type(network).__name__}: which step is its bottleneck is not known; name one of "
        f"{', '.join(_listed(modules))}"
    )


def _listed(modules: Mapping[str, nn.Module]) -> list[str]:
    """The names worth printing: the upper ones."""
    return [name for name in modules if "." not in name]


def check_feature_names(network: nn.Module, names: Iterable[str]) -> None:
    """Refuse names of maps that a network does not have.

    Raises:
        ValueError: there is one; the known ones are listed.
    """
    known = feature_modules(network)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"feature_maps names: found {unknown[0]!r}, expected names of "
            f"{type(network).__name__}; ask for some of {', '.join(_listed(known))}"
        )


class _AllFound(Exception):  # noqa: N818  it is no error
    """Ends the run of a network that has nothing more to tell."""


def feature_maps(
    network: nn.Module, image: Tensor, names: Iterable[str], inputs: bool = False
) -> dict[str, Tensor]:
    """Run the network in evaluation, as far as needed, and return the maps asked for.

    No gradient is kept and the network's mode is restored. Where an image was padded to fit the
    poolings its maps have the padded sides. Of a part that runs several times it is the first map.

    Args:
        network: any; see :func:`feature_modules` for the names it knows.
        image: ``(B, in_channels, *spatial)``.
        names: some of those names.
        inputs: whether to return what enters each of them rather than what leaves it: what enters
            the bottleneck is the latent space of "A look into U-Net".

    Returns:
        Each name with its map ``(B, channels, *spatial)``, in the order asked for.

    Raises:
        ValueError: a name the network does not know, a part that it did not run, or inputs of
            several sizes.

    Example:
        >>> from pipeline.networks import UNet
        >>> network = UNet(2, 1, 1, features=(4, 8, 16))
        >>> maps = feature_maps(network, torch.zeros(1, 1, 32, 32), ["bottleneck", "decoder1"])
        >>> {name: tuple(features.shape) for name, features in maps.items()}
        {'bottleneck': (1, 16, 8, 8), 'decoder1': (1, 4, 32, 32)}
        >>> entering = feature_maps(network, torch.zeros(1, 1, 32, 32), ["bottleneck"], inputs=True)
        >>> tuple(entering["bottleneck"].shape)
        (1, 8, 8, 8)
    """
    names = tuple(names)
    check_feature_names(network, names)
    modules = feature_modules(network)
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def hook(module: nn.Module, entering: tuple[Any, ...], output: Tensor) -> None:
            if name not in found:
                # copied, since an activation in place would write over it
                found[name] = _together(name, entering) if inputs else output.clone()
            if len(found) == len(set(names)):
                raise _AllFound

        return hook

    handles = [modules[name].register_forward_hook(keep(name)) for name in names]
    was_training = network.training
    try:
        with torch.no_grad(), suppress(_AllFound):
            network.eval()(image)
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    idle = [name for name in names if name not in found]
    if idle:
        raise ValueError(f"feature_maps names: '{idle[0]}' takes no part in an inference")
    return {name: found[name] for name in names}


def _together(name: str, entering: tuple[Any, ...]) -> Tensor:
    """All maps that enter a step, channel after channel: the skip and the up-sampled one, say."""
    maps = [each for given in entering for each in (given if isinstance(given, list) else [given])]
    if len({each.shape[2:] for each in maps}) > 1:
        raise ValueError(
            f"feature_maps names: maps of several sizes enter '{name}'; ask for another step"
        )
    return torch.cat(maps, 1).clone()
