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
from pipeline.plain_text import plain_line
from pipeline.sharing.archive import Limits, RefusedError, open_archive
from pipeline.sharing.audit import audit
from pipeline.sharing.expressions import judge_expression
from pipeline.sharing.policy import read_policy
from tests.conftest import ROOT

TRAIN = "configs/train.yaml"
EVIL = "configs/inference.yaml"


def test_our_own_bundle_is_accepted(packed):
    report = audit(packed())
    assert report.refusals == []
    kinds = {judgement.kind for judgement in report.judgements}
    assert kinds == {"target", "expression", "path"}
    assert "torch.optim.Adam" in {judgement.text for judgement in report.judgements}


def with_value(whole, key, value, file=EVIL):
    config = yaml.safe_load(whole[file])
    config[key] = value
    return {file: yaml.safe_dump(config, sort_keys=False).encode()}


TARGETS = (
    "os.system", "subprocess.run", "builtins.eval", "builtins.exec", "builtins.__import__",
    "torch.load", "torch.hub.load", "monai.bundle.download", "shutil.rmtree", "pickle.load",
    "pathlib.Path.unlink", "monai.utils.module.optional_import", "os.SYSTEM", " os.system",
    "$os.system", "@network", "pipeline.bundle.process.bundle_run", "torch.optim",
)  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_that_is_not_on_the_list(packed, whole, canary, target):
    value = [{"_target_": target, "command": f"touch {canary}", "path": str(canary)}]
    report = audit(packed(**with_value(whole, "inferring", value)))
    (line,) = [str(error) for error in report.refusals if "targets" in error.reason]
    assert line == f"{EVIL}, inferring::0: {target}: not on the list of targets"


EXPRESSIONS = {
    "$__import__('os').system('touch CANARY')": "calls",
    "$import os": "imports",
    "$from os import system": "imports",
    "$().__class__.__bases__[0].__subclasses__()": "calls",
    "$torch.load('CANARY')": "calls torch.load",
    "$torch.ops.load_library('CANARY')": "calls torch.ops.load_library",
    "$@network.__class__": "walks to",
    "$@network.load_state_dict(1)": "calls",
    "$@network.run.__globals__": "walks to",
    "$[x for x in ().__class__.__mro__]": "walks to",
    "$open('CANARY', 'w').write('x')": "calls",
    "$exec('import os')": "calls exec",
    "$eval('1')": "calls eval",
    "$getattr(@network, 'forward')": "calls getattr",
    "$(lambda: __import__('os'))()": "calls",
    "$f'{@network}'": "holds JoinedStr",
    "${'a': 1}": "holds Dict",
    "$10 ** 10 ** 10": "a power of more than 1",
    "$'a' * 9999": "repeats a text",
    "$[0] * 9999": "repeats a text or a list",
    "$99999999999": "more than 10000",
    "$(y := 5)": "holds NamedExpr",
    "$'/etc/passwd'": "a path of the machine",
    "$@bundle_root + '/../../x'": "leads out of the bundle",
    "$@empty + '/etc/passwd'": "a path of the machine",
    "$reference_": "the name reference_",
    "$os.environ": "walks to os.environ",
    "$monai.bundle.run": "walks to",
    "$torch.device(**@record)": "unpacks arguments",
    "$[x for x in @keys for y in @keys]": "more than one simple loop",
    "$'@network'": "",
    "$1 +": "not a Python expression",
    "$" + "1+" * 400 + "1": "characters, more than 300",
}


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_an_expression_beyond_what_bundles_need(packed, whole, canary, text):
    text, why = text.replace("CANARY", str(canary)), EXPRESSIONS[text]
    report = audit(packed(**with_value(whole, "knob", {"inner": [text]})))
    (line,) = map(str, report.refusals)
    assert line.startswith(f"{EVIL}, knob::inner::0: {plain_line(text)}: ")
    assert why in line


@pytest.mark.parametrize(
    "text",
    [
        "$@preprocessing + @label_preprocessing", "$[side - 2 * @margin for side in @patch]",
        "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')", "$@train::trainer.run()",
        "$@network_def.to(@device, memory_format=torch.channels_last)", "$0.99 ** (@steps / 500)",
        "$lambda engine: @model.operating_point", "$@models_dir + '/model.pt'",
    ],
)  # fmt: skip
def test_what_our_bundles_need_is_accepted(text):
    assert judge_expression(text, read_policy().allowed) == ""


PATHS = {
    "output_dir": "/etc", "models_dir": "models", "tracking_dir": "$@network", "model": "@knob",
    "dataset_dir": "$'/data'", "bundle_root": "/", "knob": "../../secret", "other": "~/secret",
    "remote": "http://example.org/x", "drive": "C:/x",
}  # fmt: skip


@pytest.mark.parametrize("key", PATHS)
def test_a_path_out_of_the_bundle(packed, whole, key):
    report = audit(packed(**with_value(whole, key, PATHS[key])))
    assert f"{EVIL}, {key}" in {error.place for error in report.refusals}


OTHERS = {
    "macro": {"knob": "%../other.yaml::x"},
    "imported reader": {"preprocessing": [{"_target_": "LoadImaged", "reader": "os.system"}]},
    "debugger": {"knob": {"_target_": "Compose", "_mode_": "debug"}},
    "unknown word": {"knob": {"_target_": "Compose", "_import_": "os"}},
    "key that is an id": {"knob": {"train#trainer": 1}},
    "key that merges": {"knob": {"+x": 1}},
}


def test_the_config_itself_is_no_target(packed, whole):
    (line,) = map(str, audit(packed(**with_value(whole, "_target_", "os.system"))).refusals)
    assert line == f"{EVIL}, : os.system: not on the list of targets"


@pytest.mark.parametrize("name", OTHERS)
def test_other_tricks_of_configs(packed, whole, name):
    ((key, value),) = OTHERS[name].items()
    report = audit(packed(**with_value(whole, key, value)))
    assert any(error.place.startswith(f"{EVIL}, {key}") for error in report.refusals)


YAML = {
    b"!!python/object/apply:os.system ['id']": "the tag",
    b"a: !!python/name:os.system ''": "the tag",
    b"a: &x 1\nb: *x": "an anchor or alias",
    b"a: &x [1]\nb: &y [*x, *x]\nc: [*y, *y]": "an anchor or alias",
    b"a:\n  <<: {b: 1}": "a merge key",
    b"a: 1\na: 2": "the key 'a' appears twice",
    b"on: 1": "the key True is not a text",
    b"1: 1": "the key 1 is not a text",
    b"--- {a: 1}\n--- {b: 1}": "a second document",
    b"a: " + b"[" * 40 + b"]" * 40: "levels",
    b"a: \xff": "expected UTF-8",
    "a: x\u202ey".encode(): "expected no invisible characters",
    b"- 1": "expected keys with values",
    b"a: [1": "expected plain YAML",
    b"a: " + b"x" * (1 << 20): "at most",
}


@pytest.mark.parametrize("content", YAML, ids=lambda content: content[:20].decode("latin1"))
def test_yaml_that_is_not_what_it_seems(packed, content):
    report = audit(packed(**{EVIL: content}))
    (line,) = map(str, report.refusals)
    assert line.startswith(EVIL)
    assert YAML[content] in line


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
    assert "target      configs/train.yaml, optimizer: torch.optim.Adam" in output
    assert output.splitlines()[-1].startswith(f"{tmp_path / 'bundle.zip'}: accepted (")
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["accepted"] is True
    assert content["refusals"] == []
    assert set(content["judgements"][0]) == {"file", "key", "kind", "text", "reason"}
    refused = ["audit", str(packed(**{EVIL: b"a: 1\na: 2"})), "--json", str(tmp_path / "a.json")]
    assert cli.main(refused) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        "refused     configs/inference.yaml, line 2: the key 'a' appears twice"
    )
    assert "refused, 1 refusals" in lines[-1]
    (refusal,) = json.loads((tmp_path / "a.json").read_text())["refusals"]
    assert refusal == {
        "place": "configs/inference.yaml, line 2",
        "value": "the key 'a' appears twice",
        "reason": "expected plain YAML",
    }
    assert cli.main(["audit", str(tmp_path / "none.zip")]) == 1
    assert "none.zip: no such file; expected a packed bundle" in capsys.readouterr().err


def test_a_policy_of_the_site(packed, tmp_path, capsys):
    default = yaml.safe_load((ROOT / "pipeline/sharing/policy.yaml").read_text())
    limits = default["limits"]
    default["targets"].remove("torch.optim.Adam")
    policy = tmp_path / "policy.yaml"
    policy.write_text(yaml.safe_dump(default))
    assert cli.main(["audit", str(packed()), "--policy", str(policy)]) == 2
    assert "optimizer: torch.optim.Adam: not on the list of targets" in capsys.readouterr().out
    for broken, why in (
        ({**default, "targets": "all"}, "targets: found 'all'; Value error, expected a list"),
        ({**default, "targets": ["Compose", 1]}, "targets#1: found '1'; Input should be a valid s"),
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


def test_a_page_in_html_is_refused(packed):
    report = audit(packed(**{"docs/report.html": b"<script>alert(1)</script>"}))
    assert [str(error) for error in report.refusals] == [
        "docs/report.html: no file of a bundle: expected configs, weights, documents, source"
    ]
