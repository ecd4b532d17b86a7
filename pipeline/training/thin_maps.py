"""Convolutions of maps thinner than their kernel, in float32 within a bfloat16 training."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class ThinMapsInFloat32(TorchFunctionMode):
    """Within it, a convolution of a volume with fewer slices than its kernel is in float32.

    On processors with avx512_bf16, oneDNN 3.12 (torch 2.13) reads memory that is none of the map's
    when it computes the gradient of such a kernel in bfloat16: the gradient is wrong, infinite or
    not a number. The maps are those of a network's lowest levels, of 2 x 2 x 2 and so on, which
    cost nothing; forward passes and flat images are right. A mode reaches each call of PyTorch's
    ``conv3d``, of whichever layer or function.

    Example:
        >>> conv = torch.nn.Conv3d(1, 1, 3, padding=1)
        >>> with torch.autocast("cpu", torch.bfloat16), ThinMapsInFloat32():
        ...     [conv(torch.zeros(1, 1, slices, 4, 4)).dtype for slices in (2, 3)]
        [torch.float32, torch.bfloat16]
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of PyTorch."""
        if func is torch.conv3d and _is_thin(*args[:2]):
            return _in_float32(func, args, kwargs or {})
        return func(*args, **(kwargs or {}))


def _is_thin(maps: torch.Tensor, kernel: torch.Tensor) -> bool:
    return maps.shape[2] < kernel.shape[2]


def _in_float32(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> torch.Tensor:
    maps, *others = args
    with torch.autocast(maps.device.type, enabled=False):
        convolved: torch.Tensor = func(maps.float(), *others, **kwargs)
    return convolved
