"""Hostile and broken packages: each is refused in a line that names the place; none runs."""

import io
import json
import pickle
import stat
import struct
import warnings
import zipfile

import pytest
import torch
import yaml

from pipeline import cli
from pipeline.sharing.archive import Limits, RefusedError, open_archive
from pipeline.sharing.audit import audit
from pipeline.sharing.policy import read_policy
from pipeline.sharing.values import VALUES
from tests.conftest import ROOT


def test_our_own_bundle_is_accepted(packed):
    report = audit(packed())
    assert report.refusals == []
    assert {judgement.kind for judgement in report.judgements} == {
        "component", "expression", "value",
    }  # fmt: skip
    assert "torch.optim.Adam" in {judgement.text for judgement in report.judgements}
    assert not any(judgement.is_custom for judgement in report.judgements)


@pytest.mark.parametrize("name", ["train", "inference", "multi_gpu"])
def test_a_config_that_the_values_do_not_make(packed, whole, name):
    file = f"configs/{name}.yaml"
    for content in (whole[file] + b"# \n", whole[file].replace(b"Adam", b"SGD", 1) + b" ", b""):
        (line,) = map(str, audit(packed(**{file: content})).refusals)
        assert line == f"{file}: another config: expected what this release makes of {VALUES}"
    (line,) = map(str, audit(packed(**{file: None})).refusals)
    assert line.startswith(f"{file}: another config")
    (line,) = map(str, audit(packed(**{"configs/more.yaml": b"a: 1"})).refusals)
    assert line.startswith("configs/more.yaml: another config")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"a": 1, "a": 2}', "appears twice"),
        (b'{"a": NaN}', "not a JSON number"),
        (b'{"name": "$__import__(\'os\')"}', "MONAI reads it as a config"),
        (b'{"x": [{"_target_": "os.system"}]}', "MONAI reads it as a config"),
        (b"[", "expected plain JSON"),
    ],
)
def test_metadata_that_do_something(packed, content, why):
    (line,) = map(str, audit(packed(**{"configs/metadata.json": content})).refusals)
    assert line.startswith("configs/metadata.json")
    assert why in line


def test_another_logging_config(packed):
    content = b"[handlers]\nkeys=h\n[handler_h]\nclass=os.system\nargs=('id',)\n"
    (line,) = map(str, audit(packed(**{"configs/logging.conf": content})).refusals)
    assert "configs/logging.conf: another logging config" in line


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        import os

        return os.system, (f"touch {self.canary}",)


def saved(thing, **how):
    stream = io.BytesIO()
    torch.save(thing, stream, **how)
    return stream.getvalue()


def scripted():
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(torch.nn.ReLU()), stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda canary: saved({"a": Evil(canary)}), "imports posix.system"),
        (lambda canary: pickle.dumps(Evil(canary)), "a bare pickle may run anything"),
        (lambda _: saved({"a": torch.zeros(1).expand(10**6, 10**6)}), "of 1 values"),
        (lambda _: saved({"a": [torch.zeros(1)]}), "expected a tensor"),
        (lambda _: saved(torch.zeros(1)), "expected a state dict"),
        (lambda _: saved({"a": torch.zeros(1).to_sparse()}), "imports torch._utils"),
        (lambda _: scripted(), "TorchScript"),
        (lambda _: saved({"a": torch.zeros(1)}, _use_new_zipfile_serialization=False), "a bare"),
        (lambda _: saved({"other": torch.zeros(1)}), "other tensors in model.safetensors"),
        (lambda _: b"", "a bare pickle"),
    ],
)
def test_weights_that_are_more_than_numbers(packed, canary, make, why):
    (line,) = map(str, audit(packed(**{"models/model.pt": make(canary)})).refusals)
    assert line.startswith("models")
    assert why in line


def header(**tensors):
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no header"),
        (struct.pack("<Q", 1 << 40), "no header"),
        (header(a={"dtype": "F32", "shape": [1], "data_offsets": [0, 8]}), "a broken header"),
        (header(a={"dtype": "X", "shape": [1], "data_offsets": [0, 4]}), "a broken header"),
        (header(a={"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}), "leave gaps"),
        (header(a={"dtype": "F32", "shape": [10**10], "data_offsets": [0, 4 * 10**10]}), "at most"),
        (
            header(a={"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}),
            "expected the 8 of the header",
        ),
    ],
)
def test_safetensors_that_are_not_whole(packed, content, why):
    (line,) = map(str, audit(packed(**{"models/model.safetensors": content})).refusals)
    assert line.startswith("models/model.safetensors")
    assert why in line


def test_source_that_differs_from_the_release(packed):
    changed = {
        "pipeline/errors.py": b"import os\n",
        "transforms/more.py": b"",
        "scripts/run.py": b"",
        "models/model.onnx": b"",
    }
    places = [error.place for error in audit(packed(**changed)).refusals]
    assert places == sorted(places[:2]) + sorted(places[2:])
    assert set(places) == set(changed)


def test_source_of_a_trusted_tree(packed, tmp_path):
    import hashlib

    from pipeline.sharing.source import is_source, tree_sha256

    path = packed(**{"transforms/more.py": b"# of the next release\n"})
    archive = open_archive(path)
    tree = tree_sha256({name: archive.sha256(name) for name in archive.files if is_source(name)})
    policy = read_policy()
    assert audit(path, policy).refusals
    assert (
        audit(path, policy.model_copy(update={"trusted_source": frozenset({tree})})).refusals == []
    )
    assert len(tree) == len(hashlib.sha256().hexdigest())


def rewritten(path, change):
    """The archive anew, with a function's way of writing each file."""
    with zipfile.ZipFile(path) as archive:
        files = [(info, archive.read(info)) for info in archive.infolist()]
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore", UserWarning)  # of names that stand twice
        change(archive, files)
    return path


def added(name, kind=stat.S_IFREG, method=zipfile.ZIP_STORED, content=b"x"):
    def change(archive, files):
        for info, data in files:
            archive.writestr(info, data)
        info = zipfile.ZipInfo(name)
        info.external_attr = (kind | 0o644) << 16
        info.compress_type = method
        archive.writestr(info, content)

    return change


@pytest.mark.parametrize(
    ("name", "more", "why"),
    [
        ("cells/../../evil.py", {}, "out of the bundle's folder"),
        ("/etc/evil", {}, "out of the bundle's folder"),
        ("cells\\evil.py", {}, "of another system"),
        ("C:/evil.py", {}, "of another system"),
        ("cells/.git/config", {}, "a hidden file"),
        ("cells/docs/.hidden", {}, "a hidden file"),
        ("cells/docs//x.md", {}, "a hidden file"),
        ("other/docs/x.md", {}, "expected one folder"),
        ("evil.py", {}, "outside the bundle's folder"),
        ("cells/docs/", {}, "an entry for a folder"),
        ("cells/docs/con.md", {}, "some systems change"),
        ("cells/docs/x.md.", {}, "some systems change"),
        ("cells/docs/README.md", {}, "each name once"),
        ("cells/DOCS/readme.md", {}, "each name once"),
        ("cells/LICENSE/x.md", {}, "is a file"),
        ("cells/docs/a\u202eb.md", {}, "invisible or ambiguous letters"),
        ("cells/docs/link.md", {"kind": stat.S_IFLNK}, "a link"),
        ("cells/docs/pipe.md", {"kind": stat.S_IFIFO}, "a special file"),
        ("cells/docs/x.md", {"method": zipfile.ZIP_LZMA}, "stored or deflated"),
        ("cells/docs/x.md", {"method": zipfile.ZIP_DEFLATED, "content": bytes(1 << 20)}, "times"),
    ],
)
def test_archives_that_do_more_than_hold_files(packed, name, more, why):
    (line,) = map(str, audit(rewritten(packed(), added(name, **more))).refusals)
    assert why in line


def test_limits(packed):
    path = packed()
    for limits, why in (
        (Limits(files=3), "expected 3 at most"),
        (Limits(total_bytes=100), "expected 100 at most"),
        (Limits(file_bytes=100), "expected 100 at most"),
    ):
        with pytest.raises(RefusedError, match=why):
            open_archive(path, limits)
    policy = read_policy()
    limits = policy.limits.model_copy(update={"parameters": 10})
    report = audit(path, policy.model_copy(update={"limits": limits}))
    assert any("expected 10 at most" in error.reason for error in report.refusals)


def test_bytes_around_an_archive(packed):
    path = packed()
    content = path.read_bytes()
    path.write_bytes(b"#!/bin/sh\n" + content)
    (line,) = map(str, audit(path).refusals)
    assert "before the first file" in line
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = b"hello"
    assert "a comment of 5 bytes" in str(audit(path).refusals[0])
    path.write_bytes(content[: len(content) // 2])
    assert "expected a zip file" in str(audit(path).refusals[0])
    path.write_bytes(b"")
    assert "expected a zip file" in str(audit(path).refusals[0])


def test_a_changed_byte(packed):
    path = packed()
    content = bytearray(path.read_bytes())
    at = bytes(content).index(b"# A model")
    content[at] ^= 1
    path.write_bytes(content)
    (line,) = map(str, audit(path).refusals)
    assert line.startswith("docs/README.md: Bad CRC-32")


def test_files_that_differ_from_the_manifest(packed, whole):
    def change(archive, files):
        for info, data in files:
            if info.filename == "cells/docs/README.md":
                data = b"# Another\n"
            if info.filename != "cells/models/model.safetensors":
                archive.writestr(info, data)
        archive.writestr("cells/docs/more.md", b"x")

    refusals = map(str, audit(rewritten(packed(), change)).refusals)
    assert [line.split(": ")[:2] for line in refusals] == [
        ["models/model.safetensors", "missing"],
        ["docs/more.md", "added"],
        ["docs/README.md", "changed"],
    ]
    (line,) = map(str, audit(packed(manifest=False)).refusals)
    assert line.startswith("manifest.json: missing")
    for broken in (b"{}", b'{"format": "unet-school bundle, version 1", "files": {"a": 1}}'):
        path = packed(manifest=False, **{"manifest.json": broken})
        assert any(error.place == "manifest.json" for error in audit(path).refusals)


def test_what_every_bundle_has(packed):
    (line,) = map(str, audit(packed(**{"LICENSE": None})).refusals)
    assert line == "LICENSE: missing: every bundle has it"


@pytest.fixture
def canary(tmp_path):
    """A file that must never be written."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


def test_the_command(packed, tmp_path, capsys):
    assert cli.main(["audit", str(packed()), "--all", "--json", str(tmp_path / "a.json")]) == 0
    output = capsys.readouterr().out
    assert "component   train::optimizer: torch.optim.Adam" in output
    assert output.splitlines()[-1].startswith(f"{tmp_path / 'bundle.zip'}: accepted (")
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["accepted"] is True
    assert content["refusals"] == []
    assert set(content["judgements"][0]) == {"key", "kind", "text", "reason", "is_custom"}
    refused = [
        "audit",
        str(packed(**{VALUES: b'{"a": 1, "a": 2}'})),
        "--json",
        str(tmp_path / "a.json"),
    ]
    assert cli.main(refused) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"refused     {VALUES}: the key 'a' appears twice")
    assert "refused, 1 refusals" in lines[-1]
    (refusal,) = json.loads((tmp_path / "a.json").read_text())["refusals"]
    assert refusal == {
        "place": VALUES,
        "value": "the key 'a' appears twice",
        "reason": "expected plain JSON",
    }
    assert cli.main(["audit", str(tmp_path / "none.zip")]) == 1
    assert "none.zip: no such file; expected a packed bundle" in capsys.readouterr().err


def test_a_policy_of_the_site(packed, tmp_path, capsys):
    default = yaml.safe_load((ROOT / "pipeline/sharing/policy.yaml").read_text())
    limits = default["limits"]
    del default["targets"]["optimizer"]["torch.optim.Adam"]
    policy = tmp_path / "policy.yaml"
    policy.write_text(yaml.safe_dump(default))
    assert cli.main(["audit", str(packed()), "--policy", str(policy)]) == 2
    refused = capsys.readouterr().out
    assert f"{VALUES}, train::optimizer: {{'_target_': 'torch.optim.Adam'" in refused
    assert "expected optimizer" in refused
    for broken, why in (
        ({**default, "targets": "all"}, "targets: found 'all'; Input should be a valid dict"),
        ({**default, "names": "all"}, "names: found 'all'; Value error, expected a list"),
        ({**default, "keys": {"loss": 1}}, "keys#loss: found '1'; Input should be a valid t"),
        ({**default, "keys": {"loss": "lose"}}, "lose: neither a kind nor a role of targets"),
        ({**default, "keys": {"loss": []}}, "keys#loss: found '[]'; Value should have at least 1"),
        ({**default, "more": []}, "more: found '[]'; Extra inputs are not permitted"),
        ({key: default[key] for key in default if key != "paths"}, "paths: Field required"),
        ({**default, "limits": {"files": 1}}, "limits#file_megabytes: Field required"),
        ({**default, "limits": {**limits, "more": 1}}, "limits#more: found '1'; Extra inputs"),
        ({**default, "limits": {**limits, "files": 0}}, "should be greater than or equal to 1"),
        ({**default, "limits": {**limits, "files": True}}, "limits#files: found 'True'; Input sh"),
        ({**default, "limits": {**limits, "files": 1.0}}, "limits#files: found '1.0'; Input sho"),
    ):
        policy.write_text(yaml.safe_dump(broken))
        assert cli.main(["audit", str(packed()), "--policy", str(policy)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert why in line
        assert line.endswith("; expected the keys and types of pipeline/sharing/policy.yaml")
    assert cli.main(["audit", str(packed()), "--policy", "none.yaml"]) == 1
