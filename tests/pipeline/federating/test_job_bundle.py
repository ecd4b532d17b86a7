"""A site judges what the server sends, and unpacks and trains nothing that it refuses."""

import json
import zipfile
from types import SimpleNamespace

import pytest

pytest.importorskip("nvflare")

import yaml

from pipeline.bundle import Bundle
from pipeline.federating import site
from pipeline.federating.job_bundle import JOB_BUNDLE, receive_job_bundle, write_job_bundle
from pipeline.federating.plan import bundle_of_rounds
from pipeline.federating.site_settings import SITES, read_site
from pipeline.sharing.archive import write_archive
from pipeline.sharing.manifest import MANIFEST, make_manifest
from pipeline.sharing.policy import read_policy
from pipeline.tracking.next_command import run_words
from pipeline.training.stopped import stopped_lines
from tests.conftest import ROOT

SMALL = {"network_def#features": [2, 4], "max_epochs": 2}
ORIGIN = {"commit": "none", "versions": {}, "mlflow_run": "none"}
POISON = {"_target_": "os.system", "command": "touch poisoned"}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    path = tmp_path_factory.mktemp("job") / JOB_BUNDLE
    bundle = Bundle(ROOT / "bundles" / "lungs_xray", [], SMALL)
    write_job_bundle(bundle_of_rounds(bundle, 2), path, seed=0)
    return path


def repacked(package, target, change):
    """Write the package with its content changed, and a manifest that fits."""
    with zipfile.ZipFile(package) as archive:
        content = {
            name.partition("/")[2]: archive.read(name)
            for name in archive.namelist()
            if not name.endswith(MANIFEST)
        }
    change(content)
    content[MANIFEST] = make_manifest("lungs_xray", content, ORIGIN)
    write_archive(target, "lungs_xray", content)
    return target


def poison_values(content):
    values = json.loads(content["configs/values.json"])
    values["train"]["loss"] = POISON
    content["configs/values.json"] = json.dumps(values).encode()


def poison_config(content):
    config = yaml.safe_load(content["configs/train.yaml"])
    config["training"].insert(0, POISON)
    content["configs/train.yaml"] = yaml.safe_dump(config).encode()


def poison_metadata(content):
    content["configs/metadata.json"] = b'{"version": "$__import__(\'os\').getcwd()"}'


def poison_source(content):
    content["pipeline/__init__.py"] = b"print('poisoned')\n"


POISONS = {
    "values": (poison_values, "no such target|expected"),
    "config": (poison_config, "another config"),
    "metadata": (poison_metadata, "MONAI reads it as a config"),
    "source": (poison_source, "unknown source"),
}


def test_a_package_is_unpacked_with_the_rounds_of_the_plan(package, tmp_path):
    bundle = receive_job_bundle(package, tmp_path, read_policy(), "server of job 1")
    config = bundle.config("training")
    assert (config["max_epochs"], config["val_interval"]) == (2, 1)
    assert config["network_def"]["features"] == [2, 4]
    assert json.loads((bundle.folder / "received.json").read_text())["sender"] == "server of job 1"


def test_a_site_that_stops_names_no_command_that_would_train_it_alone(package, tmp_path):
    bundle = receive_job_bundle(package, tmp_path, read_policy(), "server of job 1")
    workflow = SimpleNamespace(config_root_path=str(bundle.folder / "configs"))
    run = SimpleNamespace(workflow=workflow, folder=tmp_path / "run")
    assert run_words(run, "evaluate", "run", tmp_path / "run" / "model.pt") is None
    assert stopped_lines(run, 1, 2) == [
        "stopped in epoch 1 of 2; no epoch was validated yet, so there is no model"
    ]


@pytest.mark.parametrize("name", POISONS)
@pytest.mark.parametrize("client", ["A", "B", "C"])
def test_each_client_refuses_a_poisoned_package(package, tmp_path, monkeypatch, name, client):
    poison, words = POISONS[name]
    bad = repacked(package, tmp_path / JOB_BUNDLE, poison)
    (tmp_path / "sites").mkdir()
    out = tmp_path / client
    own = {"data": str(tmp_path), "out": str(out), "tracking": str(tmp_path / "mlruns")}
    (tmp_path / "sites" / f"{client}.yaml").write_text(yaml.safe_dump(own))
    monkeypatch.setenv(SITES, str(tmp_path / "sites"))
    api = SimpleNamespace(init=lambda: None, get_site_name=lambda: client, get_job_id=lambda: "job")
    monkeypatch.setattr(site, "flare", api)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"{JOB_BUNDLE}: refused, not unpacked: .*({words})"):
        site.run_site(bad, "shared", 0)
    assert [path.name for path in out.iterdir()] == ["error.txt"]
    assert "refused, not unpacked" in (out / "error.txt").read_text()
    assert not (tmp_path / "poisoned").exists()


def test_a_changed_package_without_its_manifest_is_refused(package, tmp_path):
    bad = tmp_path / JOB_BUNDLE
    bad.write_bytes(package.read_bytes().replace(b'"max_epochs": 2', b'"max_epochs": 9'))
    with pytest.raises(ValueError, match="refused, not unpacked"):
        receive_job_bundle(bad, tmp_path / "into", read_policy(), "server")
    assert not (tmp_path / "into").exists()


def test_a_site_without_settings_is_told_what_is_expected(tmp_path, monkeypatch):
    monkeypatch.delenv(SITES, raising=False)
    with pytest.raises(ValueError, match=f"{SITES}: not set; expected the folder with A.yaml"):
        read_site("A")
    monkeypatch.setenv(SITES, str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"A\.yaml: no such file"):
        read_site("A")
    (tmp_path / "A.yaml").write_text("data: x\nout: y\ntracking: z\npolcy: p\n")
    with pytest.raises(ValueError, match="polcy: no such key; did you mean 'policy'"):
        read_site("A")
