"""A received folder is checked again, file by file, against what its sender signed."""

import io

import pytest
import torch
from safetensors.torch import save

from pipeline.sharing.archive import write_archive
from pipeline.sharing.folder import SIGNATURE
from pipeline.sharing.keys import create_key_pair, key_fingerprint
from pipeline.sharing.manifest import MANIFEST, make_manifest
from pipeline.sharing.pins import pin_key, revoke_key
from pipeline.sharing.signature import Signer, sign
from tests.pipeline.sharing.conftest import MADE

TENSORS = {"weight": torch.arange(3.0)}


def as_checkpoint(tensors):
    stream = io.BytesIO()
    torch.save(tensors, stream)
    return stream.getvalue()


@pytest.fixture
def key(tmp_path):
    return create_key_pair(tmp_path / "keys")


@pytest.fixture
def received(tmp_path, key):
    """A folder as ``receive`` leaves it, its own weights and outputs included."""
    files = {
        "LICENSE": b"free",
        "configs/train.yaml": b"a: 1\n",
        "pipeline/errors.py": b"\n",
        "models/model.safetensors": save(TENSORS),
    }
    files[MANIFEST] = make_manifest("cells", files, MADE)
    write_archive(tmp_path / "cells.zip", "cells", files)
    folder = tmp_path / "received"
    own = {
        "models/model.pt": as_checkpoint(TENSORS),
        "own_models/model.pt": b"mine",
        "eval/report.html": b"mine",
        "received.json": b"{}",
    }
    for name, content in {**files, **own}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    sign(tmp_path / "cells.zip", Signer(key.with_name("private.pem")), folder / SIGNATURE)
    return folder


@pytest.fixture
def verified(received, key, call):
    return lambda: call("verify", received, "--key", key)


def test_a_folder_as_it_was_received(received, verified):
    code, output = verified()
    assert (code, f"{received}: unchanged, signed by SHA256:" in output) == (0, True)


def compiled(folder):
    (folder / "pipeline" / "__pycache__").mkdir()
    (folder / "pipeline" / "__pycache__" / "errors.cpython-311.pyc").write_bytes(b"evil")


def linked(folder):
    (folder / "LICENSE").rename(folder / "eval" / "LICENSE")
    (folder / "LICENSE").symlink_to(folder / "eval" / "LICENSE")


CHANGES = {
    "LICENSE: changed": lambda folder: (folder / "LICENSE").write_text("sold"),
    "configs/train.yaml: missing": lambda folder: (folder / "configs" / "train.yaml").unlink(),
    "torch.py: added": lambda folder: (folder / "torch.py").write_text("evil"),
    "configs/.hidden.yaml: added": lambda folder: (folder / "configs" / ".hidden.yaml").touch(),
    "models/model.pt: changed: not the weights of models/model.safetensors": lambda folder: (
        folder / "models" / "model.pt"
    ).write_bytes(as_checkpoint({"weight": -TENSORS["weight"]})),
    "models/model.pt: changed": lambda folder: (folder / "models" / "model.pt").write_bytes(b"x"),
    "pipeline/__pycache__: compiled source: no signature covers": compiled,
    "LICENSE: a link": linked,
    f"{SIGNATURE}: the signature does not match": lambda folder: (
        folder / MANIFEST
    ).write_bytes((folder / MANIFEST).read_bytes() + b" "),
    f"{SIGNATURE}: the signature does not match: not": lambda folder: (
        folder / SIGNATURE
    ).write_text("{}"),
}  # fmt: skip


@pytest.mark.parametrize("line", CHANGES)
def test_what_is_not_as_signed_is_named(received, verified, line):
    CHANGES[line](received)
    code, output = verified()
    assert (code, f"refused     {line}" in output) == (2, True)
    assert output.splitlines()[-1].endswith("received: refused")


def test_a_folder_without_signature_or_manifest(received, verified):
    (received / SIGNATURE).unlink()
    assert "manifest.json.sig: no such file; " in verified()[1]
    (received / MANIFEST).unlink()
    code, output = verified()
    assert (code, "manifest.json: missing" in output) == (1, True)


def test_a_key_that_was_revoked_since(received, key, call):
    pin_key("mayo", key, key_fingerprint(key))
    assert call("verify", received, "--from", "mayo")[0] == 0
    revoke_key("mayo")
    code, output = call("verify", received, "--from", "mayo")
    assert (code, "revoked on" in output) == (2, True)
