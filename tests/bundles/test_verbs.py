"""``unet-school train|evaluate|infer|explain``, as a user types them."""

import json

import pytest
from monai.bundle import ConfigParser

from pipeline import cli
from tests.conftest import ROOT

MEMBRANES = str(ROOT / "bundles" / "membranes")


@pytest.fixture(scope="module")
def typed(small, tmp_path_factory, phantom):
    """Return a function that types a verb for the membranes, small, and where it writes."""
    root = tmp_path_factory.mktemp("verbs")
    settings = [f"{key}={value}" for key, value in small.items()]
    settings.append(f"models_dir={root / 'models'}")

    def typed(verb, *words, setting=()):
        places = ["--tracking", str(root / "mlruns"), "--data", str(phantom)]
        own = [*settings, *setting] if verb == "train" else ["threads=1", *setting]
        return cli.main([verb, MEMBRANES, *places, *words, "--set", *own])

    assert typed("train", setting=["run_name=plain"]) == 0
    narrow = ["network_def#features=[4,4,4,4,4]", "run_name=other"]
    assert typed("train", "--with", "unetpp", setting=narrow) == 0
    return typed, root


def test_each_prints_the_line_of_monai(typed, capsys):
    call, root = typed
    assert call("evaluate", "--out", str(root / "e0"), "--run", "plain") == 0
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("python -m monai.bundle run evaluating --config_file ")
    assert f"--model {root / 'models' / 'plain' / 'model.pt'}" in line


def test_a_run_is_met_with_its_own_config_and_weights(typed, tmp_path):
    """The newest model is a UNet++; the first run is still a U-Net, found by its name."""
    call, root = typed
    for name, network in (("plain", "UNet"), ("other", "UNetPlusPlus")):
        out = tmp_path / name
        assert call("infer", "--run", name, "--out", str(out), setting=["tta_versions=1"]) == 0
        report = json.loads((out / "run_report.json").read_text())
        record = json.loads((root / "models" / name / "model.json").read_text())
        assert report["model_sha256"] == record["sha256"]
        config = ConfigParser.load_config_file(root / "models" / name / "config.json")
        assert config["network_def"]["_target_"] == f"pipeline.networks.{network}"


def test_an_evaluation_names_its_training_too(typed, tmp_path, capsys):
    call, _ = typed
    name = ["run_name=evaluated"]
    assert call("evaluate", "--run", "other", "--out", str(tmp_path / "e"), setting=name) == 0
    assert call("infer", "--run", "evaluated", "--out", str(tmp_path / "out")) == 0
    report = json.loads((tmp_path / "out" / "run_report.json").read_text())
    summary = json.loads((tmp_path / "e" / "summary.json").read_text())
    assert report["threshold"] == summary["operating_point"]["threshold"]
    assert report["model_sha256"] == summary["model"]["sha256"]


@pytest.mark.parametrize(
    ("verb", "words", "message"),
    [
        ("evaluate", ["--run", "none"], "none: no such training; give a name or an id"),
        ("evaluate", ["--run", "plain", "--with", "unetpp"], "--with: a run is met with its own"),
        (
            "train",
            ["--with", "unetp"],
            "unetp: membranes has no such overlay; did you mean 'unetpp",
        ),
        ("infer", ["--images", "/nowhere"], "/nowhere: no such folder"),
    ],
)
def test_user_errors(typed, verb, words, message, capsys):
    assert typed[0](verb, *words) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: {message}")


def test_a_misspelt_setting(typed, capsys):
    assert typed[0]("train", setting=["lerning_rate=1"]) == 1
    assert capsys.readouterr().err == (
        "error: lerning_rate: nothing uses this key; did you mean 'learning_rate'?\n"
    )
