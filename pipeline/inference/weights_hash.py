"""The hash by which weights are recognised in any file: of their values, not of a file's bytes."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch


def weights_sha256(weights: Mapping[str, Any]) -> str:
    """Return the SHA-256 of tensors: for each, sorted by name, its heading and its values' bytes.

    The same weights have the same hash as ``model.pt``, written by any release of torch, and as
    ``model.safetensors``.

    Args:
        weights: tensors by name.

    Raises:
        ValueError: something is no tensor.

    Example:
        >>> weights_sha256({"bias": torch.zeros(2)})[:8]
        '6fc946aa'
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name]
        if not isinstance(tensor, torch.Tensor):
            raise ValueError(f"{name} is a {type(tensor).__name__}; expected a tensor")
        digest.update(tensor_heading(name, str(tensor.dtype).rpartition(".")[2], tensor.shape))
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def tensor_heading(name: str, dtype: str, shape: Sequence[int]) -> bytes:
    """Return what stands before a tensor's bytes in the hash of weights.

    Example:
        >>> tensor_heading("bias", "float32", [2])
        b'["bias", "float32", [2]]\\n'
    """
    return (json.dumps([name, dtype, list(shape)]) + "\n").encode()
