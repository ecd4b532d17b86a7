"""Three folds of six phantoms, by the command that a user calls."""

import csv
import json
import shlex
import shutil

import pytest
import torch
from mlflow import MlflowClient

from pipeline import cli
from pipeline.bundle import Bundle
from pipeline.claims import claim
from pipeline.data import image_hashes
from pipeline.data.datalist import SPLITS
from pipeline.data.phantom import write_cells
from pipeline.files import shown
from pipeline.inference.trained_model import read_checkpoint, read_record
from pipeline.sharing.pack import find_trained
from pipeline.tracking import Run
from pipeline.training import checkpoints
from pipeline.training.track_training import TrackTraining

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture(scope="module")
def done(in_this_process, bundle, small, tmp_path_factory):
    root = tmp_path_factory.mktemp("crossval")
    write_cells(root / "data", count=6, size=64, seed=5)
    content = json.loads((root / "data" / "datalist.json").read_text())
    for split in ("training", "validation", "test"):
        for entry in content[split]:
            entry["stain"] = "ab"[int(entry["image"][-5]) % 2]
    (root / "data" / "datalist.json").write_text(json.dumps(content))
    assert call(root, bundle, small) == 0
    return root


def call(root, bundle, small, *more, folds=3, groups=("--groups", "stain")):
    settings = [f"{key}={value}" for key, value in small.items()] + ["isbi_metrics=false"]
    return cli.main(
        [
            "crossval", str(bundle.parent), "--dataset-dir", str(root / "data"),
            "--folds", str(folds), "--out", str(root / "out"), *groups,
            "--tracking", str(root / "mlruns"), *more, "--set", *settings,
        ]
    )  # fmt: skip


def runs_of(root):
    client = MlflowClient(f"sqlite:///{root / 'mlruns' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("membranes").experiment_id
    return client, client.search_runs([experiment])


def test_every_case_is_predicted_once_by_a_model_that_never_saw_it(done):
    rows = list(csv.DictReader((done / "out" / "cases.csv").open()))
    assert len({row["image"] for row in rows}) == len(rows) == 6
    for row in rows:
        data = json.loads((done / "out" / "folds" / row["fold"] / "datalist.json").read_text())
        assert row["image"] in {entry["image"].rpartition("/")[2] for entry in data["test"]}
    found = json.loads((done / "out" / "summary.json").read_text())
    assert (found["folds"], found["test"]["iou"]["n"]) == (3, 6)
    mean = sum(float(row["iou"]) for row in rows) / 6
    assert found["test"]["iou"]["mean"] == pytest.approx(mean, abs=1e-6)
    assert [group["n"] for group in found["groups"]] == [3, 3, 6]


def test_a_parent_run_with_children(done):
    client, runs = runs_of(done)
    (parent,) = (run for run in runs if run.data.tags["run"] == "crossval")
    children = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(children) == 3
    assert parent.info.status == "FINISHED"
    assert "error" not in parent.data.tags  # no fold took it for dead
    assert parent.data.tags["folder"] == str(done / "out")
    files = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert files == {"cases.csv", "cases.json", "volumes.csv", "summary.json", "report.html"}
    volumes = list(csv.DictReader((done / "out" / "volumes.csv").open()))
    assert len(volumes) == len(list(csv.DictReader((done / "out" / "cases.csv").open())))
    assert {row["unit"] for row in volumes} == {"pixels"}
    assert "cross-validation" in (done / "out" / "report.html").read_text()
    page = (done / "out" / "report.html").read_text()
    assert "fold 1, 2 images" in page
    places = [page.index(part) for part in ('class="verdict', "Best: ", "Median: ", "Worst: ")]
    assert places == sorted(places)
    assert page.count("<img") == 12
    assert "all foreground" in page


def test_the_shown_cases_are_those_of_the_table(done):
    rows = json.loads((done / "out" / "cases.json").read_text())
    order = sorted(rows, key=lambda row: row["iou"])
    page = (done / "out" / "report.html").read_text()
    for title, row in (("Best", order[-1]), ("Worst", order[0]), ("Median", order[2])):
        assert f"{title}: {row['image']}" in page


def test_the_answers_without_a_network_are_over_all_cases(done):
    found = json.loads((done / "out" / "summary.json").read_text())
    folds = [
        json.loads((done / "out" / f"fold_{i}" / "eval" / "summary.json").read_text())
        for i in range(3)
    ]
    own = [fold["baselines"]["all foreground"]["iou"] for fold in folds]
    assert found["baselines"]["all foreground"]["iou"] == pytest.approx(sum(own) / 3)
    assert found["threshold_metric"] == folds[0]["threshold_metric"]
    assert found["chosen_thresholds"] == [f["operating_point"]["threshold"] for f in folds]


def test_what_is_done_is_not_done_again(done, bundle, small, capfd):
    weights = (done / "out" / "fold_1" / "model.pt").stat().st_mtime_ns
    shutil.rmtree(done / "out" / "fold_2" / "eval")
    assert call(done, bundle, small) == 0
    told = capfd.readouterr().out
    *_, last = told.splitlines()
    folder, ensemble = bundle.parent, done / "out" / "ensemble" / "ensemble.yaml"
    assert last == (
        f"next        unet-school infer {shown(folder)} --with {ensemble} --images DIR --out OUT"
    )
    assert told.count("chosen by accuracy on validation") == 1  # one evaluation
    assert "\nverdict     6 test cases: too few to rely on" in told
    assert (done / "out" / "fold_1" / "model.pt").stat().st_mtime_ns == weights
    assert len(runs_of(done)[1]) == 1 + 3 + 4
    assert call(done, bundle, small, folds=4) == 1
    assert "was begun with folds 3, found 4" in capfd.readouterr().err


def test_the_printed_command_segments_with_the_joint_model(done, bundle, small, capfd, tmp_path):
    assert call(done, bundle, small) == 0
    *_, last = capfd.readouterr().out.splitlines()
    words = shlex.split(last.removeprefix("next        unet-school "))
    places = {"DIR": str(done / "data" / "images"), "OUT": str(tmp_path / "out")}
    assert cli.main([places.get(word, word) for word in words]) == 0
    assert len(list((tmp_path / "out" / "mask").iterdir())) == 6


def test_a_second_call_into_one_folder_is_refused(done, bundle, small, capfd):
    with claim(done / "out"):
        assert call(done, bundle, small) == 1
    assert f"{done / 'out'}: is being written by process " in capfd.readouterr().err


def test_jobs_give_what_the_command_alone_gives(done, bundle, small, jobs_here, tmp_path, capfd):
    shutil.copytree(done / "data", tmp_path / "data")
    assert call(tmp_path, bundle, small, "--jobs", "2") == 0
    printed = capfd.readouterr().out
    assert "3 jobs of 3, in this process; logs in " in printed
    assert "[3 of 3] fold 2, " in printed.split("[3 of 3] fold 2: done after ")[1]
    for i in range(3):
        own, other = (read_checkpoint(root / "out" / f"fold_{i}" / "model.pt")
                      for root in (tmp_path, done))  # fmt: skip
        assert all(torch.equal(own[key], other[key]) for key in other)
    tables = [(root / "out" / "cases.json").read_text() for root in (tmp_path, done)]
    assert tables[0] == tables[1]
    _, runs = runs_of(tmp_path)
    (parent,) = (run for run in runs if run.data.tags["run"] == "crossval")
    assert parent.info.status == "FINISHED"
    children = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(children) == 3


def test_a_parent_run_that_the_store_lost_is_begun_anew(done, bundle, small):
    client, runs = runs_of(done)
    (parent,) = (run for run in runs if run.data.tags["run"] == "crossval")
    client.delete_run(parent.info.run_id)
    assert call(done, bundle, small) == 0
    _, runs = runs_of(done)
    (new,) = (run for run in runs if run.data.tags["run"] == "crossval")
    assert (new.info.status, new.data.metrics) == ("FINISHED", parent.data.metrics)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "name"),
    [(checkpoints, "_copy_model"), (TrackTraining, "_send_files"), (Run, "_terminate")],
)
def test_a_fold_that_dies_after_its_last_epoch_is_finished(
    done, bundle, small, tmp_path, monkeypatch, capfd, place, name
):
    shutil.copytree(done / "data", tmp_path / "data")
    step = getattr(place, name)

    def die(*arguments, **options):
        if (tmp_path / "out" / "fold_1").is_dir():
            raise OSError(28, "No space left on device", "a file")
        return step(*arguments, **options)

    monkeypatch.setattr(place, name, die)
    assert call(tmp_path, bundle, small) == 1
    assert "error: a file: No space left on device" in capfd.readouterr().err
    monkeypatch.undo()
    assert call(tmp_path, bundle, small) == 0
    assert "has all its 2 epochs; finishing" in capfd.readouterr().out
    assert len(list((tmp_path / "out" / "fold_1").glob("*/finished.json"))) == 1
    _, runs = runs_of(tmp_path)
    trainings = [run for run in runs if run.data.tags["run"] == "training"]
    assert [run.info.status for run in trainings] == ["FINISHED"] * 3


def test_the_ensemble_is_a_model_like_any_other(done, bundle, small):
    from pipeline.errors import error_line

    ensemble = done / "out" / "ensemble"
    narrow = {key: value for key, value in small.items() if key != "network_def#features"}
    more = {"tracking_dir": str(done / "mlruns"), "output_dir": str(done / "eval"), **narrow}

    def evaluate(data):
        settings = {"dataset_dir": str(data), **more}
        joint = Bundle(bundle.parent, [ensemble / "ensemble.yaml"], settings)
        workflow = joint.workflow("evaluating")
        workflow.initialize()
        workflow.run()
        return workflow.parser.get_parsed_content("network")

    with pytest.raises(Exception) as caught:  # noqa: PT011 - MONAI wraps what its runs raise
        evaluate(done / "data")
    assert "the model was trained on it" in error_line(caught.value)

    write_cells(done / "new", count=5, size=64, seed=6)
    network = evaluate(done / "new")
    found = json.loads((done / "eval" / "summary.json").read_text())
    assert found["test"]["iou"]["n"] == 1
    image = torch.rand(1, 1, 64, 64)
    members = []
    for i, member in enumerate(network.members):
        member.load_state_dict(read_checkpoint(done / "out" / f"fold_{i}" / "model.pt"))
        members.append(member.eval()(image).sigmoid())
    torch.testing.assert_close(network.eval()(image).sigmoid(), torch.stack(members).mean(0))


def test_the_ensemble_is_scored_on_the_test_split_that_no_fold_saw(
    in_this_process, bundle, small, tmp_path, capfd
):
    write_cells(tmp_path / "data", count=8, size=64, seed=5)
    small = {**small, "max_epochs": 1}
    assert held_out(tmp_path, bundle, small) == 0
    printed = capfd.readouterr().out
    for model in ("fold 0", "fold 1", "fold 2", "ensemble"):
        assert f"test split, 2 images, {model}: iou 0." in printed
    images = {split: set(image_hashes(str(tmp_path / "data"), split)) for split in SPLITS}
    tested = set()
    for i in range(3):
        fold = tmp_path / "out" / "folds" / str(i)
        assert set(image_hashes(str(fold), "validation")) == images["validation"]
        tested |= set(image_hashes(str(fold), "test"))
    assert tested == images["training"]
    record = read_record(tmp_path / "out" / "ensemble" / "model.pt")
    assert set(record.trained_on) == images["training"]
    assert set(record.chosen_on) == images["validation"]
    assert record.operating_point.selected_by.split == "validation"
    assert "mean" not in record.operating_point.selected_by.metric
    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    own = json.loads((tmp_path / "out" / "ensemble" / "test" / "summary.json").read_text())
    assert found["held_out"][-1] == {"model": "ensemble", "test": own["test"]}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "scored on the test split that every" in page
    client, runs = runs_of(tmp_path)
    (parent,) = (run for run in runs if run.data.tags["run"] == "crossval")
    assert parent.data.metrics["ensemble_test_iou"] == own["test"]["iou"]["mean"]
    evaluations = [run for run in runs if run.data.tags["run"] == "evaluating"]
    assert len(evaluations) == 3 + 3 + 1
    (joint,) = (run for run in evaluations if run.data.tags["dataset_dir"] == str(tmp_path / "data")
                and run.data.tags["mlflow.parentRunId"] == parent.info.run_id)  # fmt: skip
    trained = find_trained(client, joint.info.run_id)
    assert trained.evaluated["network_def"]["_target_"].endswith("Ensemble")
    assert held_out(tmp_path, bundle, small) == 0  # nothing is evaluated again
    assert len(runs_of(tmp_path)[1]) == len(runs)
    assert call(tmp_path, bundle, small) == 1
    assert "was begun with hold_out True, found None" in capfd.readouterr().err
    student = {"dataset_dir": str(tmp_path / "data"), "tracking_dir": str(tmp_path / "mlruns")}
    student |= {"models_dir": str(tmp_path / "student"), "teachers": str(tmp_path / "out"), **small}
    Bundle(bundle.parent, ["recipe/distill"], student).run("training")
    assert "4 of 4 training cases taught by those that did not" in capfd.readouterr().out


def held_out(root, bundle, small):
    return call(root, bundle, small, "--hold-out", groups=())


def test_a_cross_validation_of_all_splits_says_why_its_ensemble_has_no_score(done):
    page = (done / "out" / "report.html").read_text()
    assert "none is left that could score the ensemble" in page
    assert json.loads((done / "out" / "summary.json").read_text())["held_out"] == []


def test_groups_that_are_not_known_stop_before_anything_is_trained(done, bundle, tmp_path, capsys):
    arguments = ["--dataset-dir", str(done / "data"), "--out", str(tmp_path), "--groups", "colour"]
    assert cli.main(["crossval", str(bundle.parent), *arguments]) == 1
    assert "group column 'colour': no image has it" in capsys.readouterr().err


def test_user_errors(bundle, tmp_path, capsys):
    out = ["crossval", str(bundle.parent), "--out", str(tmp_path / "out")]
    assert cli.main([*out, "--set", "max_epochs"]) == 1
    assert "--set max_epochs: expected KEY=VALUE, as max_epochs=5" in capsys.readouterr().err
    assert cli.main([*out, "--set", "max_epoch=5"]) == 1
    assert "max_epoch: nothing uses this key; did you mean 'max_epochs'?" in capsys.readouterr().err
    assert cli.main([*out, "--set", "models_dir=elsewhere"]) == 1
    assert "--set models_dir: the command itself decides it" in capsys.readouterr().err
    assert cli.main(["crossval", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "train.yaml: no such file; give the folder of a bundle" in capsys.readouterr().err
