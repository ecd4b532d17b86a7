"""Hostile and broken packages: each is refused in a line that names the place; none runs."""

import json

import pytest
import yaml

from pipeline import cli
from pipeline.sharing.archive import Limits, RefusedError, open_archive
from pipeline.sharing.audit import ALLOWED_PATHS, audit
from pipeline.sharing.policy import read_policy
from pipeline.sharing.source import source_files
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
    ["LICENSE", "models/model.json", "models/model.safetensors", VALUES],
)
def test_what_every_bundle_has(packed, file):
    (line,) = map(str, audit(packed(**{file: None})).refusals)
    assert line == f"{file}: missing: every bundle has it"


NOT_OF_A_BUNDLE = [
    "models/model.pt", "models/model.ts", "models/model.pkl", "models/model.npy",
    "models/other.safetensors", "models/more/model.json", "sample/image.npy", "sample/a/b.tif",
    "docs/report.html", "docs/figure.svg", "docs/figure.png", "docs/more/README.md",
    "docs/approval.md", "docs/notes.txt", "docs/more.json", "docs/README.txt", "sample/other.tif",
    "sample/image.png", "sample/image.json", "sample/mask_1.tif", "sample/probability_0.tif",
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
    "judge_values": "configs/values.json",
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
    assert f"{VALUES}, train::optimizer: torch.optim.Adam: no such target" in refused
    for broken, why in (
        ({**default, "targets": "all"}, "targets: found 'all'; Input should be a valid dict"),
        ({**default, "names": "all"}, "names: expected a list of names"),
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


def test_a_page_in_html_is_refused(packed):
    report = audit(packed(**{"docs/report.html": b"<script>alert(1)</script>"}))
    assert [str(error) for error in report.refusals] == [
        "docs/report.html: no file of a bundle: expected configs, weights, documents, source"
    ]
