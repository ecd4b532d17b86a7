"""The number format that a network computes in: float32, or bfloat16 where it is faster."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch.utils._pytree import tree_map

Precision = Literal["float32", "bfloat16"]
FLOAT32: Precision = "float32"
BFLOAT16: Precision = "bfloat16"
AUTO = "auto"
"""bfloat16 where the device computes in it, else float32."""

INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "sve_bf16", "bf16")
"""What PyTorch calls the instructions of a processor that multiply in bfloat16."""
MEASURED = ("amx_bf16", "avx512_bf16")
"""Those with which a training was measured to be faster, see docs/benchmarks.md."""


def bfloat16_instructions() -> list[str] | None:
    """Return the processor's instructions that multiply in bfloat16; None: not known."""
    ask = getattr(torch.cpu, "get_capabilities", None)  # newer than the oldest PyTorch that we take
    if ask is None:
        return None
    capabilities = ask()
    return [name for name in INSTRUCTIONS if capabilities.get(name)]


def computes_in_bfloat16(device: torch.device | str) -> bool:
    """Whether a device computes faster in bfloat16; False where that is not known."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return kind == "cpu" and not set(MEASURED).isdisjoint(bfloat16_instructions() or ())


def chosen_precision(asked: str, device: torch.device | str) -> Precision:
    """Return the format that a network computes in.

    Without instructions for it, bfloat16 is emulated, and slower than float32. So ``auto`` is
    bfloat16 on a device that has them alone.

    Args:
        asked: ``auto``, ``float32`` or ``bfloat16``.
        device: where the network computes.

    Example:
        >>> chosen_precision("float32", "cpu")
        'float32'
    """
    if asked == AUTO:
        return BFLOAT16 if computes_in_bfloat16(device) else FLOAT32
    return BFLOAT16 if asked == BFLOAT16 else FLOAT32


def computing_in(precision: str, device: torch.device | str) -> torch.autocast:
    """Return a context in which networks compute in a precision.

    In bfloat16, PyTorch's autocast decides layer by layer: convolutions and products of matrices
    are computed in it, the statistics of a norm and the weights stay in float32. Its range is that
    of float32, so that gradients need no scaling.
    """
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == BFLOAT16)


def in_bfloat16(call: Callable[..., Any], device: torch.device | str, *args: Any) -> Any:
    """Return what a call returns whose networks compute in bfloat16, each tensor in float32.

    Example:
        >>> in_bfloat16(torch.nn.Linear(2, 1), "cpu", torch.zeros(1, 2)).dtype
        torch.float32
    """
    with computing_in(BFLOAT16, device):
        output = call(*args)
    return tree_map(lambda part: part.float(), output)
