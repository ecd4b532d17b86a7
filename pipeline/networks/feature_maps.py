"""Intermediate maps by name, for explanation."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from pipeline.networks.unet import UNet
from pipeline.networks.unet_3_plus import UNet3Plus
from pipeline.networks.unet_plus_plus import UNetPlusPlus


def feature_maps(
    network: UNet | UNetPlusPlus | UNet3Plus, image: Tensor, names: Iterable[str]
) -> dict[str, Tensor]:
    """Run the network once in evaluation and return the intermediate maps asked for.

    No gradient is kept and the network's mode is restored. Where an image was padded to fit the
    poolings its maps have the padded sides.

    Args:
        network: one of this package's networks; it lists what it knows in ``feature_names``.
        image: ``(B, in_channels, *spatial)``.
        names: some of ``network.feature_names``.

    Returns:
        Each name with its map ``(B, channels, *spatial)``, in the order asked for.

    Raises:
        ValueError: a name the network does not know.

    Example:
        >>> network = UNet(2, 1, 1, features=(4, 8, 16))
        >>> maps = feature_maps(network, torch.zeros(1, 1, 32, 32), ["bottleneck", "decoder1"])
        >>> {name: tuple(features.shape) for name, features in maps.items()}
        {'bottleneck': (1, 16, 8, 8), 'decoder1': (1, 4, 32, 32)}
    """
    names = tuple(names)
    modules = network.feature_modules()
    unknown = [name for name in names if name not in modules]
    if unknown:
        raise ValueError(
            f"feature_maps names: found {unknown[0]!r}, expected names of "
            f"{type(network).__name__}; ask for some of {', '.join(modules)}"
        )
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            found[name] = output

        return hook

    handles = [modules[name].register_forward_hook(keep(name)) for name in names]
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(image)
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    return {name: found[name] for name in names}
