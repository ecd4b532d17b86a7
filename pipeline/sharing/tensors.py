"""Judge a safetensors file without loading it: its header first, then its values, in pieces."""

import hashlib
import io
import math
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from pipeline.inference.weights_hash import tensor_heading
from pipeline.sharing.archive import MEGABYTE, SEND_AGAIN, RefusedError
from pipeline.sharing.parsing import MAX_FILE_BYTES, strict_json

MAX_TENSORS = 10_000
MAX_DIMENSIONS = 8


class DType(NamedTuple):
    """A kind of number.

    Attributes:
        name: of torch.
        number: the unsigned integer of as many bits.
        exponent: mask of the exponent's bits, all of which NaN and infinity set; 0 of integers.
    """

    name: str
    number: type[np.unsignedinteger[Any]]
    exponent: int

    @property
    def bytes(self) -> int:
        """Bytes of one value."""
        return np.dtype(self.number).itemsize


DTYPES = {
    "F64": DType("float64", np.uint64, 0x7FF << 52),
    "F32": DType("float32", np.uint32, 0xFF << 23),
    "F16": DType("float16", np.uint16, 0x1F << 10),
    "BF16": DType("bfloat16", np.uint16, 0xFF << 7),
    "I64": DType("int64", np.uint64, 0),
}
"""The kinds that networks have, by their name in a header."""


class TensorEntry(NamedTuple):
    """A tensor in a safetensors file.

    Attributes:
        dtype: kind of its values.
        shape: its sides.
        begin: position of its first byte after the header.
        end: position after its last byte.
    """

    dtype: DType
    shape: tuple[int, ...]
    begin: int
    end: int


def judge_safetensors(stream: BinaryIO, place: str, max_parameters: int) -> str:
    """Refuse a safetensors file that is anything but finite numbers, each byte described once.

    Args:
        stream: the file's bytes.
        place: the file's name.
        max_parameters: the largest number of values, over all tensors.

    Returns:
        The hash of the values, see :func:`pipeline.inference.weights_hash.weights_sha256`.

    Raises:
        RefusedError: a header that is too long, is not strict JSON, or holds metadata; a tensor of
            an unknown kind; bytes that no tensor or several describe; more tensors or values than
            allowed; a value that is NaN or infinite.
    """
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    start, header = _read_header(stream, size, place)
    tensors = {name: _tensor(entry, f"{place}, {name}") for name, entry in header.items()}
    _check_total(tensors, place, max_parameters)
    _check_extents(tensors, size - start, place)
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(tensor_heading(name, tensor.dtype.name, tensor.shape))
        stream.seek(start + tensor.begin)
        for piece in _pieces(stream, tensor.end - tensor.begin):
            _check_finite(piece, tensor.dtype, f"{place}, {name}")
            digest.update(piece)
    return digest.hexdigest()


def _read_header(stream: BinaryIO, size: int, place: str) -> tuple[int, dict[str, Any]]:
    """Return the position of the first value, and the header."""
    length = struct.unpack("<Q", stream.read(8))[0] if size >= 8 else size
    if size < 8 or length > size - 8:
        raise RefusedError(place, "no header", f"expected a safetensors file; {SEND_AGAIN}")
    if length > MAX_FILE_BYTES:
        reason = f"expected {MAX_FILE_BYTES} at most"
        raise RefusedError(place, f"a header of {length} bytes", reason)
    header = strict_json(stream.read(length), f"{place}, header")
    if len(header) > MAX_TENSORS:
        raise RefusedError(place, f"{len(header)} tensors", f"expected {MAX_TENSORS} at most")
    return 8 + length, header


def _tensor(entry: Any, place: str) -> TensorEntry:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        reason = "expected dtype, shape and data_offsets of a tensor, and no metadata"
        raise RefusedError(place, "an entry with other keys", reason)
    dtype = entry["dtype"] if isinstance(entry["dtype"], str) else ""
    if dtype not in DTYPES:
        raise RefusedError(place, f"the dtype {dtype!r:.40}", f"expected one of {list(DTYPES)}")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not (_are_sizes(shape) and _are_sizes(offsets) and len(offsets) == 2):
        raise RefusedError(place, "a broken shape or data_offsets", SEND_AGAIN)
    tensor = TensorEntry(DTYPES[dtype], tuple(shape), *offsets)
    if tensor.end - tensor.begin != math.prod(shape) * tensor.dtype.bytes:
        value = f"{tensor.end - tensor.begin} bytes for the shape {tensor.shape}"
        raise RefusedError(place, value, SEND_AGAIN)
    return tensor


def _are_sizes(values: Any) -> bool:
    return (
        isinstance(values, list)
        and len(values) <= MAX_DIMENSIONS
        and all(type(value) is int and 0 <= value < 1 << 48 for value in values)
    )


def _check_total(tensors: dict[str, TensorEntry], place: str, max_parameters: int) -> None:
    total = sum(math.prod(tensor.shape) for tensor in tensors.values())
    if total > max_parameters:
        raise RefusedError(place, f"{total} values", f"expected {max_parameters} at most")


def _check_extents(tensors: dict[str, TensorEntry], size: int, place: str) -> None:
    position = 0
    for begin, end in sorted((tensor.begin, tensor.end) for tensor in tensors.values()):
        if begin != position:
            raise RefusedError(place, "tensors that overlap or leave gaps", SEND_AGAIN)
        position = end
    if position != size:
        raise RefusedError(place, f"{size} bytes of values", f"expected the header's {position}")


def _pieces(stream: BinaryIO, size: int) -> Iterator[bytes]:
    for position in range(0, size, MEGABYTE):
        yield stream.read(min(MEGABYTE, size - position))


def _check_finite(piece: bytes, dtype: DType, place: str) -> None:
    if dtype.exponent:
        numbers = np.frombuffer(piece, dtype.number)
        if bool((numbers & dtype.number(dtype.exponent) == dtype.exponent).any()):
            raise RefusedError(place, "a value that is NaN or infinite", "expected numbers")
