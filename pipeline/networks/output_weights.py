"""Which weights of a network belong to its output, and not to what it has learnt of images."""

from collections.abc import Callable

from torch import nn


def output_weights(make: Callable[[int], nn.Module]) -> list[str]:
    """Return the names of the weights whose number depends on that of the output's channels.

    These are the heads of any network, ours or MONAI's: those of deep supervision, too.

    Args:
        make: makes the network with a number of output channels.

    Example:
        >>> output_weights(lambda channels: nn.Sequential(nn.Linear(4, 8), nn.Linear(8, channels)))
        ['1.weight', '1.bias']
    """
    one, two = (make(channels).state_dict() for channels in (1, 2))
    return [name for name, value in one.items() if value.shape != two[name].shape]
