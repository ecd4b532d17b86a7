"""Arrays of few different values as codes of one or two bytes, without loss.

An image of 8 or 16 bits has as many values after its brightness was scaled, shifted or made grey,
and so has a mask. Only what was interpolated has more.
"""

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray

MAX_VALUES = 2**16
"""Largest number of different values that codes of two bytes hold."""
SAMPLE = 200_000
"""Values of a large array that are looked at first."""


class Codes(NamedTuple):
    """An array of 32 bits as codes.

    Attributes:
        table: different values, by their bits, ``(K,)``.
        codes: place in the table of each value, of one or two bytes.
        like: an empty tensor with the type and the meta data.
    """

    table: NDArray[np.uint32]
    codes: NDArray[Any]
    like: torch.Tensor


def packed(item: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return a case whose arrays are codes where that takes less memory."""
    return {key: _packed(value) for key, value in item.items()}


def unpacked(item: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return a case as it was before :func:`packed`, bit by bit, with arrays of its own.

    Example:
        >>> case = {"image": torch.tensor([0.5, -0.0, 0.5, float("nan")]), "name": "a"}
        >>> again = unpacked(packed(case))
        >>> again["image"].tolist(), again["name"]
        ([0.5, -0.0, 0.5, nan], 'a')
    """
    return {key: _unpacked(value) for key, value in item.items()}


def size_of(item: Mapping[Any, Any]) -> int:
    """Return the bytes of the arrays of a packed case."""
    return sum(_size(value) for value in item.values())


def _packed(value: Any) -> Any:
    if not isinstance(value, torch.Tensor) or value.dtype.itemsize != 4 or value.is_cuda:
        return value
    bits = _plain(value).numpy().view(np.uint32)
    if _has_many_values(bits):
        return value
    table, codes = np.unique(bits, return_inverse=True)
    if len(table) > MAX_VALUES:
        return value
    dtype = np.uint8 if len(table) <= 2**8 else np.uint16
    like = value.new_empty((0,))
    if isinstance(value, MetaTensor):
        like = MetaTensor(torch.empty(0, dtype=value.dtype)).copy_meta_from(value)
    return Codes(table, codes.reshape(bits.shape).astype(dtype), like)


def _has_many_values(bits: NDArray[np.uint32]) -> bool:
    step = bits.size // SAMPLE
    return step > 1 and len(np.unique(bits.reshape(-1)[::step])) > MAX_VALUES


def _unpacked(value: Any) -> Any:
    if isinstance(value, Codes):
        bits = value.table.take(value.codes)
        plain = torch.from_numpy(bits.view(np.int32)).view(value.like.dtype)
        return _with_meta(plain, value.like)
    return value.clone() if isinstance(value, torch.Tensor) else copy.deepcopy(value)


def _with_meta(plain: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    if not isinstance(like, MetaTensor):
        return plain
    tensor: torch.Tensor = MetaTensor(plain).copy_meta_from(like)
    return tensor


def _plain(value: torch.Tensor) -> torch.Tensor:
    tensor = value.as_tensor() if isinstance(value, MetaTensor) else value
    return tensor.detach().contiguous()


def _size(value: Any) -> int:
    if isinstance(value, Codes):
        return value.table.nbytes + value.codes.nbytes
    return value.nbytes if isinstance(value, (torch.Tensor, np.ndarray)) else 0
