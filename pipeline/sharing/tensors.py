"""Judge files of weights by their headers, without loading them.

A ``.pt`` file is a pickle, which may import and call anything. Here an unpickler reads it that
accepts nothing but tensors, and creates descriptions of them only.
"""

import io
import json
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from typing import Any, BinaryIO, NamedTuple

from pipeline.sharing.archive import SEND_AGAIN, RefusedError

STORAGE_BYTES = {
    "DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2,
    "LongStorage": 8, "IntStorage": 4, "ByteStorage": 1, "BoolStorage": 1,
}  # fmt: skip
"""Bytes of one value, by the kind of torch's storage."""
DTYPE_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}
"""Bytes of one value, by the dtype in a safetensors header."""
MAX_HEADER_BYTES = 16 << 20
"""Largest header of a safetensors file."""
STATE_DICT_FILES = {"data.pkl", "version", "byteorder", ".format_version", ".storage_alignment"}
"""Files that ``torch.save`` writes, besides ``data/N`` and ``.data/serialization_id``."""
Shapes = dict[str, tuple[int, ...]]
"""The shape of each tensor, by its name."""


class _Storage(NamedTuple):
    key: str
    values: int
    value_bytes: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def judge_state_dict(stream: BinaryIO, place: str, max_parameters: int) -> Shapes:
    """Refuse a ``.pt`` file that is anything but a state dict of plain tensors.

    Args:
        stream: the file's bytes.
        place: the file's name.
        max_parameters: the largest number of values, over all tensors.

    Returns:
        The shape of each tensor.

    Raises:
        RefusedError: the file holds TorchScript, an import that tensors do not need, a tensor
            larger than its stored values, or more values than allowed.
    """
    try:
        archive = zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, ValueError) as error:
        reason = "expected a state dict as torch.save writes it; a bare pickle may run anything"
        raise RefusedError(place, str(error), reason) from None
    names = archive.namelist()
    if any("/code/" in name or name.endswith("constants.pkl") for name in names):
        raise RefusedError(place, "TorchScript", "it is a program; expected a state dict")
    for info in archive.infolist():
        _check_file(info, place)
    pickles = [name for name in names if name.endswith("/data.pkl")]
    if len(pickles) != 1 or len(set(names)) != len(names):
        raise RefusedError(place, f"{len(pickles)} pickles", "expected one, and each file once")
    tensors = _read_pickle(archive.read(pickles[0]), f"{place}, {pickles[0]}")
    root = pickles[0].removesuffix("data.pkl")
    stored = {info.filename: info.file_size for info in archive.infolist()}
    for name, tensor in tensors.items():
        _check_tensor(tensor, stored.get(f"{root}data/{tensor.storage.key}"), f"{place}, {name}")
    shapes = {name: tensor.size for name, tensor in tensors.items()}
    _check_total(shapes, place, max_parameters)
    return shapes


def judge_safetensors(stream: BinaryIO, place: str, max_parameters: int) -> Shapes:
    """Refuse a broken or oversized safetensors file.

    Args:
        stream: the file's bytes.
        place: the file's name.
        max_parameters: the largest number of values, over all tensors.

    Returns:
        The shape of each tensor.

    Raises:
        RefusedError: the header does not describe every byte of the file exactly once, or the
            file holds more values than allowed.
    """
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    length = struct.unpack("<Q", stream.read(8))[0] if size >= 8 else MAX_HEADER_BYTES + 1
    if length > min(MAX_HEADER_BYTES, size - 8):
        raise RefusedError(place, "no header", "expected a safetensors file")
    try:
        header = json.loads(stream.read(length).decode("utf-8"))
        header.pop("__metadata__", None)
        extents = [_extent(name, entry) for name, entry in header.items()]
        shapes = {name: tuple(entry["shape"]) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedError(place, f"a broken header ({error})", SEND_AGAIN) from None
    _check_total(shapes, place, max_parameters)
    position = 0
    for begin, end in sorted(extents):
        if begin != position:
            raise RefusedError(place, "tensors that overlap or leave gaps", SEND_AGAIN)
        position = end
    if position != size - 8 - length:
        reason = f"expected the {position} of the header"
        raise RefusedError(place, f"{size - 8 - length} bytes", reason)
    return shapes


def _extent(name: str, entry: dict[str, Any]) -> tuple[int, int]:
    shape, (begin, end) = entry["shape"], entry["data_offsets"]
    if not all(isinstance(side, int) and side >= 0 for side in shape):
        raise ValueError(f"{name} has the shape {shape}")
    if end - begin != math.prod(shape) * DTYPE_BYTES[entry["dtype"]]:
        raise ValueError(f"{name} has {end - begin} bytes for the shape {shape}")
    return begin, end


def _check_file(info: zipfile.ZipInfo, place: str) -> None:
    inner = info.filename.partition("/")[2]
    where = f"{place}, {info.filename}"
    is_data = inner.startswith("data/") and inner[5:].isdigit()
    if not (is_data or inner in STATE_DICT_FILES or inner == ".data/serialization_id"):
        raise RefusedError(where, "an unknown file", "expected tensors")
    if info.compress_type != zipfile.ZIP_STORED:
        raise RefusedError(where, "compressed", "expected a file that is stored as it is")


def _check_tensor(tensor: _Tensor, stored: int | None, place: str) -> None:
    storage, count = tensor.storage, math.prod(tensor.size)
    if stored != storage.values * storage.value_bytes:
        size = f"{storage.values} values in {stored or 0} bytes"
        raise RefusedError(place, size, "expected as many values as the bytes hold")
    steps = zip(tensor.size, tensor.stride, strict=True)
    last = tensor.offset + sum((side - 1) * step for side, step in steps)
    if min(tensor.offset, *tensor.stride, 0) < 0 or max(count, last + 1) > storage.values:
        shape = f"shape {tensor.size} of {storage.values} values"
        raise RefusedError(place, shape, "expected a tensor inside its stored values")


def _check_total(shapes: Shapes, place: str, max_parameters: int) -> None:
    total = sum(math.prod(shape) for shape in shapes.values())
    if total > max_parameters:
        raise RefusedError(place, f"{total} values", f"expected {max_parameters} at most")


class _Unpickler(pickle.Unpickler):
    """Accepts only the parts of a state dict; creates descriptions of tensors, imports nothing."""

    def __init__(self, content: bytes, place: str) -> None:
        super().__init__(io.BytesIO(content))
        self.place = place

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *_: _Tensor(storage, offset, size, stride)
        if module == "torch" and name in STORAGE_BYTES:
            return name
        raise RefusedError(self.place, f"imports {module}.{name}", "expected tensors only")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage, key, _, count = pid
        if kind != "storage" or storage not in STORAGE_BYTES:
            raise RefusedError(self.place, f"holds {kind}", "expected tensors only")
        return _Storage(str(key), int(count), STORAGE_BYTES[storage])


def _read_pickle(content: bytes, place: str) -> dict[str, _Tensor]:
    try:
        tensors = _Unpickler(content, place).load()
    except RefusedError:
        raise
    except Exception as error:  # a broken pickle may raise any exception
        raise RefusedError(place, f"no pickle of tensors ({error})", SEND_AGAIN) from None
    if not isinstance(tensors, dict):
        raise RefusedError(place, type(tensors).__name__, "expected a state dict")
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, _Tensor):
            raise RefusedError(f"{place}, {name}", type(tensor).__name__, "expected a tensor")
    return dict(tensors)
