"""The papers' experiments as overlays, and the command that runs and records them."""

import json
import shutil
import subprocess

import pytest
from mlflow import MlflowClient

from pipeline import cli
from pipeline.claims import claim
from pipeline.papers.configs import OneScaleError, evaluation_overlay, experiment_bundle
from pipeline.papers.paper import SCALES, paper_names, read_paper
from tests.conftest import ROOT

ALL = [
    (paper, experiment)
    for paper in map(read_paper, paper_names())
    for experiment in paper.experiments
]
NAMES = [f"{paper.name}-{experiment.name}" for paper, experiment in ALL]
NARROW = {
    "network_def#features": [2, 4, 4, 8, 8],
    "patch": [32, 32],
    "window": [64, 64],
    "batch_size": 2,
    "steps_per_epoch": 2,
    "max_epochs": 2,
    "val_interval": 1,
    "threads": 1,
}
OWN = {
    "unet_isbi_mane_mittal": {"patch": [204, 204], "window": [204, 204], "batch_size": 1},
    "magicians_corner_pancreas_ct": {"network_def#features": [2, 2, 2, 4, 4, 4]},
}
"""Papers whose networks need larger tiles, or have another depth."""


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("paper", "experiment"), ALL, ids=NAMES)
def test_every_key_of_an_experiment_does_something(paper, experiment, scale):
    try:
        bundle = experiment_bundle(ROOT, paper, experiment, scale)
    except OneScaleError:
        return
    bundle.check("training")
    bundle.check("evaluating", evaluation_overlay(ROOT, paper))


@pytest.mark.slow
@pytest.mark.parametrize(("paper", "experiment"), ALL, ids=NAMES)
def test_every_experiment_trains(paper, experiment, phantom, tmp_path):
    settings = {
        "dataset_dir": str(phantom),
        "models_dir": str(tmp_path / "models"),
        "tracking_dir": str(tmp_path / "mlruns"),
        **NARROW,
        **OWN.get(paper.name, {}),
    }
    bundle = experiment_bundle(ROOT, paper, experiment, "reduced")
    bundle.with_overrides(settings).run("training")
    assert (tmp_path / "models" / "model.pt").is_file()
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlruns' / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name(paper.bundle).experiment_id])
    tags = {key: run.data.tags[key] for key in ("paper", "experiment", "scale")}
    expected = {"paper": paper.name, "experiment": experiment.name, "scale": "reduced"}
    assert tags == expected


@pytest.fixture(scope="module")
def root(tmp_path_factory, phantom):
    """A copy of the bundles' configs, with a cohort where the command expects it."""
    root = tmp_path_factory.mktemp("root")
    for configs in (ROOT / "bundles").glob("*/configs"):
        shutil.copytree(configs, root / "bundles" / configs.parent.name / "configs")
    data = root / "data" / "isbi2012"
    shutil.copytree(phantom, data)
    content = json.loads((data / "datalist.json").read_text())
    (data / "datalist.json").write_text(json.dumps(content | {"name": "isbi2012"}))
    return root


def call(root, *arguments, **overrides):
    small = NARROW | overrides
    given = [f"{key}={value}" for key, value in small.items()]
    places = ["--root", str(root), "--out", str(root / "out"), "--allow-dirty"]
    return cli.main(["reproduce", "unet_school_isbi", *places, *arguments, "--set", *given])


ONE = ("--only", "unetpp_deep_supervision")


@pytest.fixture(scope="module")
def done(in_this_process, root):
    assert call(root, *ONE, max_epochs=0) == 1  # a run that fails leaves no record
    assert not (root / "docs").exists()
    assert call(root, *ONE) == 0
    return root


def test_the_record_holds_what_the_table_needs(done):
    path = done / "docs" / "results" / "unet_school_isbi" / "unetpp_deep_supervision.json"
    record = json.loads(path.read_text())
    results = read_paper("unet_school_isbi").experiment("unetpp_deep_supervision").results
    assert {result.metric for result in results} <= set(record["metrics"])
    (curves,) = record["curves"]
    assert curves["epoch"] == [1, 2]
    assert all(0 < value < 1 for value in curves["train_accuracy"])
    assert (record["seeds"], record["scale"]) == ([0], "reduced")
    heads = [record["metrics"][f"test_accuracy_head_{i}"]["mean"] for i in range(1, 5)]
    assert len(set(heads)) > 1
    page = (done / "docs" / "results.md").read_text()
    assert f"| 0.878 | 0.839 | {heads[0]:.4f} | not run |" in page


def test_one_parent_with_a_child(done):
    client = MlflowClient(f"sqlite:///{done / 'mlruns' / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("membranes").experiment_id])
    parents = [run for run in runs if run.data.tags["run"] == "reproduce"]
    assert sorted(run.info.status for run in parents) == ["FAILED", "FINISHED"]
    (parent,) = (run for run in parents if run.info.status == "FINISHED")
    assert "unetpp_deep_supervision.test_accuracy" in parent.data.metrics
    (child,) = (
        run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
    )
    assert child.data.tags["run"] == "training"


def test_what_is_recorded_is_not_run_again(done, capsys):
    assert call(done, *ONE) == 0
    printed = capsys.readouterr().out
    assert "unetpp_deep_supervision: recorded already" in printed
    assert printed.endswith(f"next        more {done / 'docs' / 'results.md'}\n")


def test_a_record_of_another_config_is_named(done, capsys):
    assert call(done, *ONE, learning_rate=0.5) == 1
    line = capsys.readouterr().err
    assert "unetpp_deep_supervision (training, evaluation)" in line
    command = "reproduce unet_school_isbi --only unetpp_deep_supervision --rerun"
    assert f"make them again with unet-school {command}" in line


def test_another_measure_evaluates_anew_and_does_not_train(done, capfd):
    overlay = done / "bundles/membranes/configs/experiments/unet_school_isbi/evaluate.yaml"
    before = overlay.read_text()
    model = next((done / "out").rglob("seed_0/model.pt"))
    trained = model.stat().st_mtime_ns
    overlay.write_text(
        before.replace("choose_postprocessing: false", "choose_postprocessing: true")
    )
    assert call(done, *ONE, "--rerun") == 0
    printed = capfd.readouterr().out
    assert printed.count("chosen by accuracy on validation") == 1
    assert "epoch  train loss" not in printed
    assert model.stat().st_mtime_ns == trained
    overlay.write_text(before)
    assert call(done, *ONE, "--rerun") == 0  # both evaluations are there
    assert "chosen by accuracy" not in capfd.readouterr().out


def test_user_errors(done, phantom, tmp_path, capsys):
    for arguments, message in (
        (("--only", "unet4"), "unet4: unet_school_isbi has no such experiment; it has unet, "),
        (
            ("--dataset-dir", str(tmp_path)),
            "no prepared cohort; run unet-school data prepare isbi2012",
        ),
        (("--dataset-dir", str(phantom)), "found the cohort phantom cells, expected isbi2012"),
        (("--seeds", "0"), "--seeds: found 0, expected 1 or more"),
        (
            ("--root", str(tmp_path), "--dataset-dir", str(done / "data" / "isbi2012")),
            "give --root",
        ),
    ):
        assert call(done, *arguments) == 1
        assert message in capsys.readouterr().err
    assert call(done, "--only", "unet", seed=5) == 1
    assert "--set seed: the command itself decides it; leave it out" in capsys.readouterr().err
    assert cli.main(["reproduce", "unet"]) == 1
    assert "unet: no such paper; known are a_look_into_unet_chest_xray, " in capsys.readouterr().err


def test_the_table_alone(done, capsys):
    assert cli.main(["reproduce", "unet_school_isbi", "--table", "--root", str(done)]) == 0
    assert "| **UNet++ with deep supervision** |" in capsys.readouterr().out


def test_the_table_beside_a_cohort(done, phantom, tmp_path, capsys):
    table = ["reproduce", "unet_school_isbi", "--table", "--root", str(done), "--dataset-dir"]
    assert cli.main([*table, str(done / "data" / "isbi2012")]) == 0
    assert "| **UNet++ with deep supervision** |" in capsys.readouterr().out
    split = tmp_path / "split"
    shutil.copytree(done / "data" / "isbi2012", split)
    content = json.loads((split / "datalist.json").read_text())
    content["training"], content["test"] = content["test"], content["training"]
    (split / "datalist.json").write_text(json.dumps(content))
    for folder, message in (
        (split, "of the records of unetpp_deep_supervision; leave --dataset-dir out"),
        (phantom, "found the cohort phantom cells, expected isbi2012"),
        (tmp_path / "none", "no prepared cohort; run unet-school data prepare isbi2012"),
    ):
        assert cli.main([*table, str(folder)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line


def test_uncommitted_code_makes_no_record(done, capsys):
    places = ["--root", str(done), "--out", str(done / "out")]
    call_for_all = ["reproduce", "unet_school_isbi", *places, "--only", "unet"]
    assert cli.main(call_for_all) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "found no git commit, expected a commit of all code" in line
    assert "--allow-dirty" in line
    (done / "code.py").write_text("")
    git = ["git", "-C", str(done), "-c", "user.name=a", "-c", "user.email=a"]
    for command in (["init", "-q"], ["add", "code.py"], ["commit", "-qm", "code"]):
        subprocess.run([*git, *command], check=True)
    (done / "code.py").write_text("changed")
    assert cli.main(call_for_all) == 1
    assert "found changes that are not committed, expected" in capsys.readouterr().err
    shutil.rmtree(done / ".git")


def test_a_second_call_for_one_training_is_refused(done, capsys):
    folder = next((done / "out").rglob("seed_0")).with_name("seed_1")
    with claim(folder):
        assert call(done, *ONE, "--seeds", "2") == 1
    assert f"{folder}: is being written by process " in capsys.readouterr().err
    assert not folder.exists()


def test_jobs_record_what_is_done_and_name_what_stopped(done, jobs_here, capfd):
    obstacle = done / "out" / "unet_school_isbi" / "reduced" / "unetpp"
    obstacle.write_text("")
    assert call(done, "--only", "unet", "unetpp", "--jobs", "2") == 1
    printed = capfd.readouterr()
    assert "error: 1 of 2 jobs stopped: unetpp, seed 0 (" in printed.err
    assert "unet_school_isbi: unet, seed 0: done before" in printed.out
    records = done / "docs" / "results" / "unet_school_isbi"
    assert (records / "unet.json").is_file()
    assert not (records / "unetpp.json").exists()
    client = MlflowClient(f"sqlite:///{done / 'mlruns' / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("membranes").experiment_id])
    parent = next(run for run in runs if run.data.tags["run"] == "reproduce")
    assert parent.info.status == "FAILED"
    children = [run for run in runs
                if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]  # fmt: skip
    assert [run.data.tags["experiment"] for run in children] == ["unet"]


def test_a_job_alone_ends_the_parent_that_it_began(done):
    obstacle = done / "out" / "unet_school_isbi" / "reduced" / "unetpp"
    obstacle.write_text("")
    assert call(done, "--only", "unet3plus", "--job", "0") == 0
    assert call(done, "--only", "unetpp", "--job", "0") == 1
    client = MlflowClient(f"sqlite:///{done / 'mlruns' / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("membranes").experiment_id])
    newest = [run.info.status for run in runs if run.data.tags["run"] == "reproduce"][:2]
    assert newest == ["FAILED", "FINISHED"]
