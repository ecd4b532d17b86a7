"""Hostile and broken packages: each is refused in a line that names the place; none runs."""

import json

import pytest
import yaml

from pipeline import cli
from pipeline.sharing.archive import Limits, RefusedError, open_archive
from pipeline.sharing.audit import ALLOWED_PATHS, audit
from pipeline.sharing.expressions import judge_expression
from pipeline.sharing.policy import read_policy
from pipeline.sharing.source import source_files
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
    assert line.startswith(f"{EVIL}, knob::inner::0: {text}: ")
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


def test_limits(packed):
    path = packed()
    for limits, why in (
        (Limits(files=3), "expected 3 at most"),
        (Limits(total_bytes=2000), "expected 2000 at most"),
        (Limits(file_bytes=100), "expected 100 at most"),
    ):
        with pytest.raises(RefusedError, match=why):
            open_archive(path, limits)
    policy = read_policy()
    limits = policy.limits.model_copy(update={"parameters": 10})
    report = audit(path, policy.model_copy(update={"limits": limits}))
    assert any("expected 10 at most" in error.reason for error in report.refusals)


@pytest.mark.parametrize(
    "file",
    ["LICENSE", "models/model.json", "models/model.safetensors", "configs/inference.yaml"],
)
def test_what_every_bundle_has(packed, file):
    (line,) = map(str, audit(packed(**{file: None})).refusals)
    assert line == f"{file}: missing: every bundle has it"


NOT_OF_A_BUNDLE = [
    "models/model.pt", "models/model.ts", "models/model.pkl", "models/model.npy",
    "models/other.safetensors", "models/more/model.json", "sample/image.npy", "sample/a/b.tif",
    "docs/report.html", "docs/figure.svg", "docs/figure.png", "docs/more/README.md",
    "docs/R\u0415ADME.md", "configs/tr\u0430in.yaml", "configs/more/train.yaml",
    "configs/train.json", "configs/other.conf", "sitecustomize.py", "torch/__init__.py",
    "LICENSE.txt", "manifest.json.md", "bom.json", "pipeline/errors.so", "pipeline/errors.pyc",
    "pipeline/a.pth", "pipeline/a.py.md", "pipeline/a-b/c.py", "transforms/data.npy",
]  # fmt: skip


def test_files_that_no_bundle_has(packed):
    refusals = audit(packed(**dict.fromkeys(NOT_OF_A_BUNDLE, b"a: 1"))).refusals
    places = [error.place for error in refusals if error.value == "no file of a bundle"]
    assert places == sorted(NOT_OF_A_BUNDLE)


def test_every_file_of_the_release_may_be_packed():
    assert [file for file in source_files() if not ALLOWED_PATHS.fullmatch(file)] == []


CHECKS = {
    "_check_paths": "bundle.zip",
    "read_manifest": "manifest.json",
    "_check_source": "source",
    "judge_config": "configs/evaluate.yaml",
    "_check_metadata": "configs/metadata.json",
    "_check_logging": "configs/logging.conf",
    "judge_safetensors": "models/model.safetensors",
}


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_that_fails_is_a_refusal_of_its_place(packed, monkeypatch, check):
    def fail(*_):
        raise RecursionError("maximum recursion depth")

    monkeypatch.setattr(f"pipeline.sharing.audit.{check}", fail)
    line = str(audit(packed()).refusals[0])
    expected = "RecursionError 'maximum recursion depth': cannot be judged, so it is refused"
    assert line == f"{CHECKS[check]}: {expected}"


@pytest.mark.parametrize(
    "error",
    [MemoryError(), OverflowError("x"), ValueError("4300 digits\nof more"), TypeError("\x1b[2J")],
    ids=lambda error: type(error).__name__,
)
def test_any_error_of_a_check_is_one_line(packed, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr("pipeline.sharing.audit._check_paths", fail)
    (line,) = map(str, audit(packed()).refusals)
    assert f": {type(error).__name__} '" in line
    assert line.isprintable()


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
