"""Convolutions of maps thinner than their kernel, in float32 within a bfloat16 training."""

from functools import partial

import torch


def thin_maps_in_float32(network: torch.nn.Module) -> None:
    """Let each convolution of volumes compute a map with fewer slices than its kernel in float32.

    On processors with avx512_bf16, oneDNN 3.12 (torch 2.13) reads memory that is none of the map's
    when it computes the gradient of such a kernel in bfloat16: the gradient is wrong, infinite or
    not a number. The maps are those of a network's lowest levels, of 2 x 2 x 2 and so on, which
    cost nothing; forward passes and flat images are right.

    Args:
        network: on the CPU; it is changed in place, its weights are not.

    Example:
        >>> conv = torch.nn.Conv3d(1, 1, 3, padding=1)
        >>> thin_maps_in_float32(conv)
        >>> with torch.autocast("cpu", torch.bfloat16):
        ...     [conv(torch.zeros(1, 1, slices, 4, 4)).dtype for slices in (2, 3)]
        [torch.float32, torch.bfloat16]
    """
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv3d) and layer.kernel_size[0] > 1:
            layer.forward = partial(_forward, layer)  # type: ignore[method-assign]


def _forward(layer: torch.nn.Conv3d, maps: torch.Tensor) -> torch.Tensor:
    forward = partial(type(layer).forward, layer)
    if maps.shape[2] >= layer.kernel_size[0]:
        return forward(maps)
    with torch.autocast(maps.device.type, enabled=False):
        return forward(maps.float())
