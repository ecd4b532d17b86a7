"""The order of a network's numbers in memory: channels first, or last where that is faster."""

import torch

from pipeline.precision import BFLOAT16, FLOAT32, Precision


def on_device(
    network: torch.nn.Module, device: torch.device | str, precision: Precision = FLOAT32
) -> torch.nn.Module:
    """Move a network to a device, in the layout that is faster there; see ``docs/benchmarks.md``.

    A network of flat images has its channels last, one of volumes in bfloat16 alone: in float32
    that is no faster, and slower with instance norm.

    Args:
        network: any.
        device: where it is to compute.
        precision: what it is to compute in.

    Example:
        >>> conv = torch.nn.Conv3d(2, 4, 3)
        >>> [
        ...     on_device(conv, "cpu", precision).weight.stride(1) for precision in
        ...     ("float32", "bfloat16")
        ... ]
        [27, 1]
    """
    is_of_volumes = any(weight.ndim == 5 for weight in network.parameters())
    if is_of_volumes and precision != BFLOAT16:
        return network.to(device)
    layout = torch.channels_last_3d if is_of_volumes else torch.channels_last
    return network.to(device).to(memory_format=layout)  # type: ignore[call-overload]
