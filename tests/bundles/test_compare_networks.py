"""Three networks on six phantoms, by the command that a user calls."""

import csv
import json
import shutil

import pytest
from mlflow import MlflowClient
from PIL import Image

from pipeline import cli
from pipeline.data.phantom import write_cells
from pipeline.tracking.store import MODEL

pytestmark = pytest.mark.usefixtures("in_this_process")
NAMES = ["unet", "unetpp"]


@pytest.fixture(scope="module")
def done(in_this_process, bundle, small, tmp_path_factory):
    root = tmp_path_factory.mktemp("compared")
    write_cells(root / "data", count=6, size=64, seed=5)
    assert call(root, bundle, small) == 0
    return root


def call(root, bundle, small, *more, networks=NAMES):
    settings = [f"{key}={value}" for key, value in {**small, "max_epochs": 1}.items()]
    return cli.main(
        [
            "compare-networks", str(bundle.parent), "--data", str(root / "data"), "--networks",
            *networks, "--out", str(root / "out"), "--tracking", str(root / "mlruns"), *more,
            "--set", *settings,
        ]
    )  # fmt: skip


def test_the_table_has_a_row_for_each_network(done):
    table = json.loads((done / "out" / "networks.json").read_text())
    unet, unetpp = table["networks"]
    assert [unet["network"], unetpp["network"]] == NAMES
    assert unet["numbers"] < unetpp["numbers"]
    assert unet["minutes"] > 0
    assert unet["difference"] is None
    assert unetpp["difference"] == pytest.approx(unetpp["mean"] - unet["mean"], abs=1e-5)
    rows = list(csv.DictReader((done / "out" / "networks.csv").open()))
    assert [row["network"] for row in rows] == NAMES


def test_the_networks_are_alike_and_all_else_is_the_bundles(done):
    _, runs = runs_of(done)
    params = {
        run.data.tags["network"]: run.data.params
        for run in runs
        if run.data.tags["run"] == "training"
    }
    assert params["unet"]["network_def.features"] == params["unetpp"]["network_def.features"]
    assert params["unet"]["loss"] == params["unetpp"]["loss"] == "BCEWithLogitsLoss"
    assert "network_def.pixel_unshuffle" not in params["unet"]


def test_the_parent_run_has_the_table_and_the_pictures(done):
    client, runs = runs_of(done)
    (parent,) = (run for run in runs if run.data.tags["run"] == "compare-networks")
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics.keys() >= {"unet.dice", "unetpp.dice", "unetpp.difference"}
    files = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert files == {"networks.csv", "networks.json", "differences.png", "case.png"}
    children = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert sorted(run.info.run_name.rpartition("-")[0] for run in children) == NAMES
    with Image.open(done / "out" / "case.png") as picture:
        assert picture.width > picture.height


def test_what_is_done_is_not_done_again(done, bundle, small, capfd):
    weights = {path: path.stat().st_mtime_ns for path in sorted(done.glob(f"out/*/seed_0/{MODEL}"))}
    shutil.rmtree(done / "out" / "unetpp" / "seed_0" / "eval")
    assert call(done, bundle, small) == 0
    assert weights == {path: path.stat().st_mtime_ns for path in weights}
    printed = capfd.readouterr().out
    assert "[1 of 2] unet, seed 0: done before" in printed
    assert "[2 of 2] unetpp, seed 0\n" in printed or "[2 of 2] unetpp, seed 0," in printed
    assert "left out, because not every network has it: pixel_unshuffle 2" in printed


def test_another_call_into_the_same_folder_is_refused(done, bundle, small, capsys):
    assert call(done, bundle, small, networks=["unet", "unet3plus"]) == 1
    assert "was begun with networks ['unet', 'unetpp'], found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("networks", "line"),
    [
        (
            ["unet", "unett"],
            "unett: no such network; expected two or more of unet, unetpp, unet3plus",
        ),
        (["unet"], "--networks unet: expected two or more of unet, unetpp, unet3plus, each once"),
    ],
)
def test_networks_that_cannot_be_compared_are_refused(done, bundle, small, capsys, networks, line):
    assert call(done, bundle, small, networks=networks) == 1
    assert line in capsys.readouterr().err


def runs_of(root):
    client = MlflowClient(f"sqlite:///{root / 'mlruns' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("membranes").experiment_id
    return client, client.search_runs([experiment])
