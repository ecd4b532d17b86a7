"""Judging files of weights by their headers, loading none of them.

A ``.pt`` file is a pickle, which may import and call anything. Ours is read by an unpickler that
knows tensors alone, and makes only their shapes.
"""

import io
import json
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from typing import Any, BinaryIO, NamedTuple

from pipeline.sharing.archive import RefusedError

STORAGES = {
    "DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2,
    "LongStorage": 8, "IntStorage": 4, "ByteStorage": 1, "BoolStorage": 1,
}  # fmt: skip
"""Bytes of a number in each kind of torch's storage."""
BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}
"""The same in safetensors."""
HEADER = 16 << 20
FILES = {"data.pkl", "version", "byteorder", ".format_version", ".storage_alignment"}
"""Of a state dict as ``torch.save`` writes it, beside ``data/N`` and ``.data/serialization_id``."""
Shapes = dict[str, tuple[int, ...]]


class _Storage(NamedTuple):
    key: str
    numbers: int
    width: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def judge_state_dict(stream: BinaryIO, place: str, parameters: int) -> Shapes:
    """Refuse a ``.pt`` file that is anything but a state dict of plain tensors.

    Args:
        stream: of the file.
        place: its name.
        parameters: numbers at most.

    Returns:
        The shape of each tensor.

    Raises:
        RefusedError: TorchScript, an import that tensors do not need, a tensor larger than what is
            stored of it, more numbers than allowed.
    """
    try:
        archive = zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, ValueError) as error:
        why = "expected a state dict as torch.save writes it; a bare pickle may run anything"
        raise RefusedError(place, str(error), why) from None
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
    _check_total(shapes, place, parameters)
    return shapes


def judge_safetensors(stream: BinaryIO, place: str, parameters: int) -> Shapes:
    """Refuse a broken or oversized safetensors file; return the shape of each tensor.

    Raises:
        RefusedError: its header does not tell every byte of it once.
    """
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    length = struct.unpack("<Q", stream.read(8))[0] if size >= 8 else HEADER + 1
    if length > min(HEADER, size - 8):
        raise RefusedError(place, "no header", "expected a safetensors file")
    try:
        header = json.loads(stream.read(length).decode("utf-8"))
        header.pop("__metadata__", None)
        ends = [_extent(name, each) for name, each in header.items()]
        shapes = {name: tuple(each["shape"]) for name, each in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedError(place, f"a broken header ({error})", "ask for it again") from None
    _check_total(shapes, place, parameters)
    at = 0
    for begin, end in sorted(ends):
        if begin != at:
            raise RefusedError(place, "tensors that overlap or leave gaps", "ask for it again")
        at = end
    if at != size - 8 - length:
        raise RefusedError(place, f"{size - 8 - length} bytes", f"its header tells {at}")
    return shapes


def _extent(name: str, each: dict[str, Any]) -> tuple[int, int]:
    shape, (begin, end) = each["shape"], each["data_offsets"]
    if not all(isinstance(side, int) and side >= 0 for side in shape):
        raise ValueError(f"{name} has the shape {shape}")
    if end - begin != math.prod(shape) * BYTES[each["dtype"]]:
        raise ValueError(f"{name} has {end - begin} bytes for the shape {shape}")
    return begin, end


def _check_file(info: zipfile.ZipInfo, place: str) -> None:
    inner = info.filename.partition("/")[2]
    where = f"{place}, {info.filename}"
    number = inner.startswith("data/") and inner[5:].isdigit()
    if not (number or inner in FILES or inner == ".data/serialization_id"):
        raise RefusedError(where, "an unknown file", "expected tensors")
    if info.compress_type != zipfile.ZIP_STORED:
        raise RefusedError(where, "packed", "expected it stored as it is")


def _check_tensor(tensor: _Tensor, stored: int | None, place: str) -> None:
    storage, count = tensor.storage, math.prod(tensor.size)
    if stored != storage.numbers * storage.width:
        found = f"{storage.numbers} numbers in {stored or 0} bytes"
        raise RefusedError(place, found, "expected what is stored")
    steps = zip(tensor.size, tensor.stride, strict=True)
    last = tensor.offset + sum((side - 1) * step for side, step in steps)
    if min(tensor.offset, *tensor.stride, 0) < 0 or max(count, last + 1) > storage.numbers:
        raise RefusedError(place, f"{tensor.size} of {storage.numbers} numbers", "not that many")


def _check_total(shapes: Shapes, place: str, parameters: int) -> None:
    total = sum(math.prod(shape) for shape in shapes.values())
    if total > parameters:
        raise RefusedError(place, f"{total} numbers", f"expected {parameters} at most")


class _Unpickler(pickle.Unpickler):
    """Knows what a state dict is made of; makes descriptions of tensors, imports nothing."""

    def __init__(self, content: bytes, place: str) -> None:
        super().__init__(io.BytesIO(content))
        self.place = place

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *_: _Tensor(storage, offset, size, stride)
        if module == "torch" and name in STORAGES:
            return name
        raise RefusedError(self.place, f"imports {module}.{name}", "expected tensors alone")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage, key, _, count = pid
        if kind != "storage" or storage not in STORAGES:
            raise RefusedError(self.place, f"holds {kind}", "expected tensors alone")
        return _Storage(str(key), int(count), STORAGES[storage])


def _read_pickle(content: bytes, place: str) -> dict[str, _Tensor]:
    try:
        found = _Unpickler(content, place).load()
    except RefusedError:
        raise
    except Exception as error:  # a broken one raises whatever it likes
        raise RefusedError(place, f"no pickle of tensors ({error})", "ask for it again") from None
    if not isinstance(found, dict):
        raise RefusedError(place, type(found).__name__, "expected a state dict")
    for name, tensor in found.items():
        if not isinstance(name, str) or not isinstance(tensor, _Tensor):
            raise RefusedError(f"{place}, {name}", type(tensor).__name__, "expected a tensor")
    return dict(found)
