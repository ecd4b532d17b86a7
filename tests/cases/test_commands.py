"""The row ``More without files`` of the awkward files, through the real commands."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.bundle import Bundle
from pipeline.inference.trained_model import save_model
from pipeline.tracking.connection import DATABASE
from tests.conftest import ROOT

OLD_VERSION = "c3d6457b6d8a"
SMALL = ["max_epochs=1", "steps_per_epoch=1", "val_interval=1", "patch=[32,32]", "window=[64,64]"]
NARROW = "network_def#features=[4,4,8,8,8]"


@pytest.fixture
def old_store(tmp_path):
    """A tracking store whose tables are of an older version of MLflow."""
    root = tmp_path / "mlruns"
    root.mkdir()
    made = tmp_path / "made.db"  # MLflow keeps a store that this process opened before
    MlflowClient(f"sqlite:///{made}").search_experiments()
    shutil.copyfile(made, root / DATABASE)
    with sqlite3.connect(root / DATABASE) as connection:
        connection.execute("update alembic_version set version_num=?", (OLD_VERSION,))
    connection.close()
    return root


@pytest.mark.parametrize("verb", ["train", "evaluate"])
def test_a_store_of_another_mlflow_is_one_line_with_the_remedy(
    run_command, phantom, bundle, tmp_path, old_store, verb
):
    further = {"train": (), "evaluate": ("--run", "any")}[verb]
    outcome = run_command(
        verb, bundle.parent, "--data", phantom, "--tracking", old_store, *further, "--set", *SMALL,
        NARROW, f"models_dir={tmp_path / 'models'}",
    )  # fmt: skip
    assert outcome.code == 1
    lines = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    (line,) = lines
    assert str(old_store / DATABASE) in line
    assert f"mlflow db upgrade sqlite:///{old_store / DATABASE}" in line
    assert "Traceback" not in outcome.err


def test_numbers_that_are_names_stay_text(run_command, phantom, bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = run_command(
        "train", bundle.parent, "--data", phantom, "--tracking", tmp_path / "mlruns", "--set",
        *SMALL, NARROW, f"models_dir={tmp_path / 'models'}", "run_name=1e5", "threads=1",
        "output_dir=20241125",
    )  # fmt: skip
    assert outcome.code == 0
    assert (tmp_path / "20241125").is_dir()
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlruns' / DATABASE}")
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    assert [run.info.run_name for run in client.search_runs(ids)] == ["1e5"]


@pytest.mark.slow
def test_numbers_that_are_names_stay_text_on_the_command_line_of_monai(
    phantom, bundle, small, tmp_path
):
    settings = {**small, "max_epochs": 1, "run_name": "1e5", "output_dir": "20241125"}
    settings |= {"models_dir": "models", "tracking_dir": "mlruns", "dataset_dir": str(phantom)}
    arguments = [part for key, value in settings.items()
                 for part in (f"--{key}", str(value))]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-m", "monai.bundle", "run", "training", "--config_file",
         str(bundle / "train.yaml"), *arguments],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    assert (tmp_path / "20241125").is_dir()
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlruns' / DATABASE}")
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    assert [run.info.run_name for run in client.search_runs(ids)] == ["1e5"]


def test_training_and_inference_are_one_workflow_of_monai(bundle, phantom, tmp_path):
    from monai.bundle import ConfigWorkflow

    network = Bundle(bundle.parent).parser("training").get_parsed_content("network_def")
    save_model(tmp_path / "model.pt", network.state_dict(), bundle="membranes")
    workflow = ConfigWorkflow(
        [str(bundle / "train.yaml"), str(bundle / "inference.yaml")],
        workflow_type="infer",
        dataset_dir=str(phantom),
        models_dir=str(tmp_path),
        tracking_dir=str(tmp_path),
        threads=1,
    )
    workflow.initialize()
    assert workflow.check_properties() == []


def test_a_cohort_that_may_only_be_read_is_checked_and_printed(
    run_command, phantom, tmp_path, monkeypatch
):
    make_folder = Path.mkdir

    def refuse(path, *arguments, **options):
        if phantom in path.parents:
            raise PermissionError(13, "Permission denied", str(path))
        make_folder(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", refuse)  # modes of files do not bind the administrator
    outcome = run_command("data", "check", phantom)
    assert outcome.code == 0, outcome.err
    printed = outcome.out.splitlines()
    assert printed[0] == "inspecting 5 cases"
    assert printed[1].split() == ["cases", "5"]
    assert any(line == "no issues" or line.startswith("warning: ") for line in printed)
    assert printed[-1] == f"not written to {phantom / 'check'} (Permission denied)"
    assert not (phantom / "check").exists()


def test_the_check_of_a_cohort_that_may_be_written(run_command, phantom, tmp_path):
    cohort = shutil.copytree(phantom, tmp_path / "cohort")
    outcome = run_command("data", "check", cohort)
    assert outcome.code == 0
    assert json.loads((cohort / "check" / "fingerprint.json").read_text())["cases"] == 5
    assert (cohort / "check" / "contact_sheet.png").is_file()
    assert outcome.out.splitlines()[-1] == f"written to {cohort / 'check'}"
