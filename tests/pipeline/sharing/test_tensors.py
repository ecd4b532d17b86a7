"""Weights are numbers with a header that describes every byte once, and nothing else."""

import io
import json
import struct
import tracemalloc

import numpy as np
import pytest
import safetensors.torch
import torch

from pipeline.inference.weights_hash import weights_sha256
from pipeline.sharing.archive import RefusedError
from pipeline.sharing.audit import audit
from pipeline.sharing.tensors import MAX_TENSORS, judge_safetensors

FILE = "models/model.safetensors"
WEIGHTS = {
    "a": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "b": torch.ones(3, dtype=torch.float64),
    "c": torch.full((2,), 2.0, dtype=torch.float16),
    "d": torch.full((2,), -3.0, dtype=torch.bfloat16),
    "e": torch.tensor(7),
    "f": torch.zeros(0),
}


def judge(content, max_parameters=100):
    return judge_safetensors(io.BytesIO(content), FILE, max_parameters)


def test_the_hash_is_that_of_the_loaded_weights():
    assert judge(safetensors.torch.save(WEIGHTS)) == weights_sha256(WEIGHTS)


@pytest.mark.parametrize("name", list("abcde"))
def test_every_value_name_shape_and_kind_is_in_the_hash(name):
    tensor = WEIGHTS[name]
    others = [
        {**WEIGHTS, name: tensor + 1},
        {**WEIGHTS, name: tensor.reshape(1, -1)},
        {**WEIGHTS, name: tensor.to(torch.int32)},
        {key + "x" * (key == name): value for key, value in WEIGHTS.items()},
    ]
    hashes = {weights_sha256(weights) for weights in (WEIGHTS, *others)}
    assert len(hashes) == 5
    assert weights_sha256(dict(reversed(WEIGHTS.items()))) in hashes


@pytest.mark.parametrize("name", list("abcd"))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number(name, value):
    weights = {**WEIGHTS, name: WEIGHTS[name].clone()}
    weights[name].view(-1)[-1] = value
    with pytest.raises(RefusedError, match=f"{FILE}, {name}: a value that is NaN or infinite"):
        judge(safetensors.torch.save(weights))


def test_a_value_that_is_no_number_far_into_a_file():
    tensor = torch.zeros(1 << 20)
    tensor[-1] = np.nan
    with pytest.raises(RefusedError, match="NaN or infinite"):
        judge(safetensors.torch.save({"a": tensor}), 1 << 20)


def header(text, values=b""):
    return struct.pack("<Q", len(text)) + text + values


def tensors(values=b"", **entries):
    return header(json.dumps(entries).encode(), values)


def entry(dtype="F32", shape=(1,), begin=0, end=4):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


HOSTILE = {
    "no bytes": (b"", "no header"),
    "seven bytes": (bytes(7), "no header"),
    "a header beyond the file": (struct.pack("<Q", 1 << 40), "no header"),
    "a header of two megabytes": (header(b"{" + b" " * (2 << 20) + b"}"), "a header of 20971"),
    "brackets": (header(b"[" * 100_000), "expected plain JSON"),
    "nested lists": (header(b'{"a":' + b"[" * 40 + b"]" * 40 + b"}"), "expected 30 at most"),
    "a list": (header(b"[]"), "expected keys with values"),
    "a name twice": (header(b'{"a": 1, "a": 2}'), "appears twice"),
    "a long number": (header(b'{"a": ' + b"9" * 6000 + b"}"), "expected plain JSON"),
    "no UTF-8": (header(b'{"\xff": 1}'), "expected UTF-8"),
    "metadata": (tensors(__metadata__={"format": "pt"}), "and no metadata"),
    "another key": (tensors(a={**entry(), "x": 1}), "an entry with other keys"),
    "no dtype": (tensors(a={"shape": [1], "data_offsets": [0, 4]}), "with other keys"),
    "a number for an entry": (tensors(a=4), "an entry with other keys"),
    "an unknown dtype": (tensors(b"1234", a=entry("F8_E5M2", (4,))), "the dtype 'F8_E5M2'"),
    "a list for a dtype": (tensors(b"1234", a=entry(["F32"])), "the dtype"),
    "a text for a shape": (tensors(b"1234", a={**entry(), "shape": "1"}), "a broken shape"),
    "a true shape": (tensors(b"1234", a=entry(shape=(True,))), "a broken shape"),
    "half a side": (tensors(b"1234", a=entry(shape=(1.0,))), "a broken shape"),
    "a negative side": (tensors(b"1234", a=entry(shape=(-1,), end=-4)), "a broken shape"),
    "many sides": (tensors(b"1234", a=entry(shape=(1,) * 9)), "a broken shape"),
    "large sides": (tensors(a=entry(shape=(1 << 60, 0), end=0)), "a broken shape"),
    "three offsets": (tensors(b"1234", a={**entry(), "data_offsets": [0, 4, 4]}), "a broken"),
    "too many bytes": (tensors(bytes(8), a=entry(end=8)), "8 bytes for the shape (1,)"),
    "a backward tensor": (tensors(b"1234", a=entry(begin=4, end=0)), "-4 bytes for the shape"),
    "a gap": (tensors(bytes(8), a=entry(begin=4, end=8)), "overlap or leave gaps"),
    "an overlap": (tensors(bytes(4), a=entry(), b=entry()), "overlap or leave gaps"),
    "more values than bytes": (
        tensors(a=entry(shape=(10**10,), end=4 * 10**10)), "10000000000 values",
    ),
    "fewer bytes": (tensors(bytes(4), a=entry(shape=(2,), end=8)), "expected the header's 8"),
    "bytes after": (tensors(bytes(9), a=entry(shape=(2,), end=8)), "expected the header's 8"),
    "many tensors": (
        tensors(**{str(i): entry(shape=(0,), end=0) for i in range(MAX_TENSORS + 1)}),
        "10001 tensors",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_file_of_tensors(name):
    content, words = HOSTILE[name]
    with pytest.raises(RefusedError) as caught:
        judge(content)
    assert caught.value.place.startswith(FILE)
    assert words in str(caught.value)


def test_a_long_header_is_not_read():
    class Stream(io.BytesIO):
        largest = 0

        def read(self, size=-1):
            self.largest = max(self.largest, size)
            return super().read(size)

    stream = Stream(header(b" " * (8 << 20)))
    with pytest.raises(RefusedError, match="a header of 8388608 bytes: expected 1048576 at most"):
        judge_safetensors(stream, FILE, 100)
    assert stream.largest == 8


def test_large_weights_are_read_in_pieces():
    content = safetensors.torch.save({"a": torch.zeros(8 << 20)})
    stream = io.BytesIO(content)
    tracemalloc.start()
    judge_safetensors(stream, FILE, 8 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_an_audit_names_the_file(packed):
    (line,) = map(str, audit(packed(**{FILE: header(b"[" * 100_000)})).refusals)
    assert line.startswith(f"{FILE}, header: ")


def test_weights_of_another_record(packed, whole):
    doubled = {name: tensor * 2 for name, tensor in safetensors.torch.load(whole[FILE]).items()}
    (line,) = map(str, audit(packed(**{FILE: safetensors.torch.save(doubled)})).refusals)
    assert line.startswith("models/model.json, sha256: '")
    assert line.endswith(f"the values in {FILE} have the hash {weights_sha256(doubled)}")
