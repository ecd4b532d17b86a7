"""Intermediate maps of a network by name, for explanation."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import torch
from monai.networks.nets import BasicUNet
from torch import Tensor, nn


def feature_modules(network: nn.Module) -> dict[str, nn.Module]:
    """Return the module behind each intermediate map, by name, in the order of computation.

    The networks of this package name their own maps (``feature_names``), and MONAI's ``BasicUNet``
    gets the names of our U-Net. In any other network every submodule has PyTorch's name for it.

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
        "bottleneck": network.down_4.convs,  # without its pooling: what enters is pooled already
        **{f"decoder{level}": module for level, module in zip((4, 3, 2, 1), up, strict=True)},
    }


def bottleneck_of(network: nn.Module) -> str:
    """Return the name of the deepest step, whose input is the latent space.

    Raises:
        ValueError: the network is of another kind, so the step has to be named in the config.

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
        f"{type(network).__name__}: found no step named bottleneck; name the step that is its "
        f"bottleneck, one of {', '.join(_top_level_names(modules))}"
    )


def _top_level_names(modules: Mapping[str, nn.Module]) -> list[str]:
    return [name for name in modules if "." not in name]


def check_feature_names(network: nn.Module, names: Iterable[str]) -> None:
    """Refuse names of maps that a network does not have.

    Raises:
        ValueError: an unknown name; the message lists the existing ones.
    """
    modules = feature_modules(network)
    unknown = [name for name in names if name not in modules]
    if unknown:
        raise ValueError(
            f"feature_maps names: found {unknown[0]!r}, expected names of "
            f"{type(network).__name__}; ask for some of {', '.join(_top_level_names(modules))}"
        )


class _AllMapsKept(Exception):  # noqa: N818  it is no error
    """Ends the run of a network as soon as all maps are kept."""


def feature_maps(
    network: nn.Module, image: Tensor, names: Iterable[str], inputs: bool = False
) -> dict[str, Tensor]:
    """Run the network in evaluation as far as needed and return the named maps.

    No gradient is kept and the network's mode is restored. Where an image is padded to fit the
    poolings, its maps have the padded sides. A step that runs several times gives its first map.

    Args:
        network: any network; its names are the keys of :func:`feature_modules`.
        image: ``(B, in_channels, *spatial)``.
        names: names of steps.
        inputs: whether to return the input of each step instead of its output. The input of the
            bottleneck is the latent space of "A look into U-Net".

    Returns:
        Each name with its map ``(B, channels, *spatial)``, in the order of ``names``.

    Raises:
        ValueError: a name that the network does not have, a step that it did not run, or inputs
            of several sizes.

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
    return module_maps(network, image, {name: modules[name] for name in names}, inputs)


def module_maps(
    network: nn.Module, image: Tensor, modules: Mapping[str, nn.Module], inputs: bool = False
) -> dict[str, Tensor]:
    """Do the same as :func:`feature_maps` for any modules of the network, by names of your own.

    Args:
        network: any network.
        image: ``(B, in_channels, *spatial)``.
        modules: modules of the network by name.
        inputs: whether to return the input of each module instead of its output.

    Raises:
        ValueError: a module that the network did not run, or inputs of several sizes.

    Example:
        >>> convolution = nn.Conv2d(1, 3, 1)
        >>> network = nn.Sequential(convolution, nn.ReLU())
        >>> maps = module_maps(network, torch.zeros(1, 1, 4, 4), {"first": convolution})
        >>> maps["first"].shape
        torch.Size([1, 3, 4, 4])
    """
    maps: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def hook(module: nn.Module, entering: tuple[Any, ...], output: Tensor) -> None:
            if name not in maps:
                # copied, since an activation in place would overwrite it
                maps[name] = _concatenated(name, entering) if inputs else output.clone()
            if len(maps) == len(modules):
                raise _AllMapsKept

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    was_training = network.training
    try:
        with torch.no_grad(), suppress(_AllMapsKept):
            network.eval()(image)
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    idle = [name for name in modules if name not in maps]
    if idle:
        raise ValueError(
            f"feature_maps names: '{idle[0]}' takes no part in an inference; ask for another step"
        )
    return {name: maps[name] for name in modules}


def _concatenated(name: str, entering: tuple[Any, ...]) -> Tensor:
    """Concatenate the maps that enter a step along channels, as a skip and an up-sampled map."""
    maps: list[Tensor] = []
    for argument in entering:
        maps += argument if isinstance(argument, list) else [argument]
    if len({features.shape[2:] for features in maps}) > 1:
        raise ValueError(
            f"feature_maps names: maps of several sizes enter '{name}'; ask for another step"
        )
    return torch.cat(maps, 1).clone()
