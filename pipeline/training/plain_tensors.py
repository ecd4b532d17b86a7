"""Batches of a training without MONAI's metadata."""

from typing import Any

import torch
from monai.data import MetaTensor
from monai.engines import default_prepare_batch


def plain_batch(
    batch: dict[str, torch.Tensor],
    device: str | torch.device | None = None,
    non_blocking: bool = False,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return image and label on a device, as plain tensors; for ``prepare_batch`` of an engine.

    A network passes the metadata of a ``MetaTensor`` on from layer to layer, which nothing reads.
    It doubles the time of a backward pass: see ``benchmarks/network_step.py``.

    Example:
        >>> image, label = MetaTensor(torch.zeros(1, 1, 2, 2)), torch.zeros(1, 1, 2, 2)
        >>> [type(part).__name__ for part in plain_batch({"image": image, "label": label})]
        ['Tensor', 'Tensor']
    """
    image, label = default_prepare_batch(batch, device, non_blocking, **kwargs)
    return plain(image), plain(label)


def plain(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor without metadata, which shares its memory."""
    return tensor.as_tensor() if isinstance(tensor, MetaTensor) else tensor
