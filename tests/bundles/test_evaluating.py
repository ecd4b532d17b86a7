import argparse
import csv
import html
import json
import re
import shlex
import shutil
from functools import partial

import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image
from scipy.ndimage import binary_fill_holes, label

from pipeline import cli
from pipeline.commands.crossval import add_crossval
from pipeline.commands.runs import bundle_of
from pipeline.data.datalist import SPLITS, write_datalist
from pipeline.data.phantom import write_cells
from pipeline.inference import TrainedModel
from pipeline.tracking import next_command


@pytest.fixture
def evaluate(run_bundle, site, phantom):
    def evaluate(**overrides):
        usual = {"tta_versions": 1, "output_dir": str(site / "eval"), "dataset_dir": str(phantom)}
        run_bundle(site, "evaluating", **{**usual, **overrides})
        return json.loads((site / "eval" / "summary.json").read_text())

    return evaluate


@pytest.fixture
def failing(evaluate, error_of):
    return partial(error_of, evaluate)


def test_what_an_evaluation_writes(evaluate, site):
    found = evaluate()
    assert {p.name for p in (site / "eval").iterdir()} == {
        "cases.csv", "cases.json", "volumes.csv", "summary.json", "overlays", "report.html",
    }  # fmt: skip
    rows = list(csv.DictReader((site / "eval" / "cases.csv").open()))
    assert len(rows) == found["test"]["iou"]["n"] == 1
    assert float(rows[0]["iou"]) == pytest.approx(found["test"]["iou"]["mean"], abs=1e-6)
    assert found["baselines"]["all foreground"]["accuracy"] < 1
    assert found["baselines"]["mean of the training masks"]["accuracy"] < 1
    assert sum(found["outcomes"].values()) == 1
    assert {"v_rand_thinned", "rand_error", "pixel_error", "warping_error"} <= set(rows[0])
    assert found["isbi_best_threshold_on_test"]["v_rand_thinned"]["threshold"] in [
        k / 10 for k in range(11)
    ]
    json.dumps(found, allow_nan=False)


def test_the_threshold_is_stored_with_the_model(evaluate, site):
    found = evaluate()
    record = json.loads((site / "models" / "model.json").read_text())
    assert record["operating_point"] == found["operating_point"]
    selected = {"metric": "accuracy", "split": "validation"}
    assert record["operating_point"]["selected_by"] == selected


@pytest.mark.parametrize("evaluated", ["published", "run"])
def test_the_weights_have_their_threshold_however_they_are_met(
    evaluate, run_bundle, site, phantom, small, bundle, evaluated, capsys
):
    models = site / "models"
    name = json.loads((models / "model.json").read_text())["run_name"]
    infer = partial(run_bundle, site, "inferring", dataset_dir=str(phantom))
    infer(output_dir=str(site / "before"))
    line = "no threshold was chosen for these weights, so that it is 0.5; choose it on validation: "
    assert f"{line}unet-school evaluate BUNDLE --run {name}" in capsys.readouterr().out
    assert "none was chosen for these weights" in (site / "before" / "report.html").read_text()
    own = {} if evaluated == "published" else {"model": str(models / name / "model.pt")}
    point = evaluate(**own)["operating_point"]
    for model in (models / "model.pt", models / name / "model.pt"):
        out = site / "out" / model.parent.name
        infer(model=str(model), output_dir=str(out))
        report = json.loads((out / "run_report.json").read_text())
        assert report["threshold"] == point["threshold"]
        assert report["threshold_source"] == "chosen by accuracy on validation"
    assert line not in capsys.readouterr().out
    places = {"models_dir": str(models), "tracking_dir": str(site / "mlruns")}
    loaded = TrainedModel.load(bundle.parent, overrides={**small, **places})
    assert loaded.operating_point.model_dump() == point


def test_a_given_threshold_is_used_and_not_stored(evaluate, site):
    assert evaluate(threshold=0.7)["operating_point"]["threshold"] == 0.7
    record = json.loads((site / "models" / "model.json").read_text())
    assert record["operating_point"]["threshold"] == 0.5


def test_the_evaluation_is_a_child_of_the_training_run(evaluate, site):
    found = evaluate()
    client = MlflowClient(f"sqlite:///{site / 'mlruns' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("membranes").experiment_id
    (child,) = client.search_runs([experiment], "tags.run = 'evaluating'")
    assert child.info.status == "FINISHED"
    assert child.data.tags["mlflow.parentRunId"] == found["model"]["mlflow_run_id"]
    assert child.data.metrics["test_iou"] == pytest.approx(found["test"]["iou"]["mean"])
    assert child.data.params["network_def"] == "UNet"


def test_the_report_is_one_file_that_needs_no_network(evaluate, site, capsys):
    evaluate()
    page = (site / "eval" / "report.html").read_text()
    assert re.findall(r'(?:src|href)="(?!data:|#)', page) == []
    assert "cells_" in page
    advice = re.search(
        "verdict     1 test case: .*: (unet-school crossval .*)", capsys.readouterr().out
    )
    assert html.escape(advice[1]) in page
    assert page.count("<svg") == 6  # three training curves, threshold, areas, and calibration


def test_one_test_case_has_no_interval_which_is_said_once(evaluate, site, capsys):
    evaluate()
    page, printed = (site / "eval" / "report.html").read_text(), capsys.readouterr().out
    assert page.count("A 95 % interval needs two images; one was tested.") == 1
    assert "<th>95 % interval" not in page
    assert printed.count("interval    needs two images; one was tested\n") == 1
    assert "95 % interval over" not in printed


@pytest.mark.parametrize("is_stored", [True, False])
def test_the_printed_cross_validation_is_of_the_training(
    evaluate, site, small, capsys, monkeypatch, is_stored
):
    if not is_stored:
        monkeypatch.setattr(next_command, "_find_stored", lambda *_: None)
    evaluate(symmetries=1)
    words = re.search(": unet-school crossval (.*)", capsys.readouterr().out)[1]
    parser = argparse.ArgumentParser()
    add_crossval(parser)
    options = parser.parse_args(shlex.split(words))
    assert bool(options.overlays) == is_stored
    assert bool(options.settings) != is_stored
    asked = bundle_of(options)
    asked.check("evaluating")
    asked.with_places({"models_dir": str(site / "cv")}).check("training")
    config = asked.config("training")
    assert config["network_def"]["features"] == small["network_def#features"]
    for key in ("patch", "max_epochs"):
        assert config[key] == small[key]


def test_what_is_chosen_on_validation_is_stored_and_used_by_inference(
    evaluate, run_bundle, site, phantom
):
    found = evaluate(tta_versions=None)
    record = json.loads((site / "models" / "model.json").read_text())
    assert set(found["trials_on_validation"]) == {"test-time augmentation", "post-processing"}
    point = record["operating_point"]
    assert point["tta_versions"] == found["operating_point"]["tta_versions"]
    assert point["tta_versions"] in (1, 2, 8)
    point["postprocessing"] = {"min_pixels": 0, "largest_only": True, "fill_holes": True}
    (site / "models" / "model.json").write_text(json.dumps(record))
    out = site / "out"
    run_bundle(site, "inferring", dataset_dir=str(phantom), output_dir=str(out))
    report = json.loads((out / "run_report.json").read_text())
    assert report["tta_versions"] == point["tta_versions"]
    for path in (out / "mask").iterdir():
        mask = np.asarray(Image.open(path)) > 0
        assert label(mask)[1] <= 1
        assert (binary_fill_holes(mask) == mask).all()


def test_a_test_image_that_was_trained_on_is_refused_under_any_name(
    failing, site, phantom, tmp_path
):
    cohort = tmp_path / "renamed"
    shutil.copytree(phantom, cohort)
    content = json.loads((cohort / "datalist.json").read_text())
    entry = content["training"].pop()
    (cohort / entry["image"]).rename(cohort / "images" / "other_name.png")
    content["test"] = [{**entry, "image": "images/other_name.png"}]
    (cohort / "datalist.json").write_text(json.dumps(content))
    line = failing(dataset_dir=str(cohort))
    assert line.startswith("other_name.png: of the test split, and the model was trained on it")
    assert not (site / "eval").exists()


def test_a_training_image_that_was_saved_anew_is_no_test_image(failing, phantom, tmp_path):
    cohort = tmp_path / "saved_anew"
    shutil.copytree(phantom, cohort)
    content = json.loads((cohort / "datalist.json").read_text())
    entry = content["training"].pop()
    with Image.open(cohort / entry["image"]) as image:
        pixels = np.asarray(image)
    Image.fromarray(pixels.astype(np.uint16)).save(cohort / "images" / "again.png")
    content["test"] = [{**entry, "image": "images/again.png"}]
    write_datalist(cohort, {split: content.pop(split) for split in SPLITS}, **content)
    line = failing(dataset_dir=str(cohort))
    assert line.startswith("again.png: of the test split, and the model was trained on it")


def test_an_older_model_refuses_its_images_by_their_bytes(failing, site, phantom, tmp_path):
    cohort = tmp_path / "swapped"
    shutil.copytree(phantom, cohort)
    content = json.loads((cohort / "datalist.json").read_text())
    path = site / "models" / "model.json"
    record = json.loads(path.read_text())
    record["trained_on"] = [entry["image_sha256"] for entry in content["training"]]
    del record["hashes"]
    path.write_text(json.dumps(record))
    content["training"], content["test"] = content["test"], content["training"]
    (cohort / "datalist.json").write_text(json.dumps(content))
    assert "of the test split, and the model was trained on it" in failing(dataset_dir=str(cohort))


def test_what_an_older_record_cannot_show_is_said(evaluate, site, capsys):
    path = site / "models" / "model.json"
    assert json.loads(path.read_text())["hashes"] == ["values"]
    remark = "its record has hashes of files, not of pixels"
    evaluate()
    assert remark not in capsys.readouterr().out
    path.write_text(path.read_text().replace('"values"', '"bytes"'))
    evaluate()
    assert f"{path.with_suffix('.pt')}: {remark}" in capsys.readouterr().out


def test_an_image_that_chose_the_model_is_no_test_image(failing, phantom, tmp_path):
    cohort = tmp_path / "swapped"
    shutil.copytree(phantom, cohort)
    content = json.loads((cohort / "datalist.json").read_text())
    content["test"], content["validation"] = content["validation"], content["test"]
    (cohort / "datalist.json").write_text(json.dumps(content))
    assert "of the test split, and the model was chosen by it" in failing(dataset_dir=str(cohort))


def test_a_split_without_any_foreground(failing, phantom, tmp_path):
    cohort = tmp_path / "empty"
    shutil.copytree(phantom, cohort)
    content = json.loads((cohort / "datalist.json").read_text())
    for entry in content["test"]:
        Image.fromarray(np.zeros((64, 64), np.uint8)).save(cohort / entry["label"])
    write_datalist(cohort, {split: content.pop(split) for split in SPLITS}, **content)
    assert "no foreground in any mask, so there is nothing to score" in failing(
        dataset_dir=str(cohort)
    )


def test_groups_that_cannot_be_compared_are_left_out_and_told(evaluate, site, capsys):
    found = evaluate(group_columns=["sex"], age_column="age")
    assert found["groups"] is None
    assert found["age_bins"] is None
    (sex, age) = found["left_out"]
    assert sex.startswith("group column 'sex': no image has it; columns: ")
    assert age.startswith("group column 'age': no image has it")
    assert f"groups      left out: {sex}" in capsys.readouterr().out
    assert "group column &#39;sex&#39;: no image has it" in (
        site / "eval" / "report.html"
    ).read_text("utf-8")


def test_groups_of_a_cohort(evaluate, site, tmp_path):
    cohort = tmp_path / "grouped"
    write_cells(cohort, count=6, size=64, seed=9)
    content = json.loads((cohort / "datalist.json").read_text())
    tested = content["test"] + [content["training"].pop()]
    for i, entry in enumerate(tested):
        entry |= {"patient": f"p{i}", "sex": "fm"[i], "age": 30 + i}
    splits = {**{split: content[split] for split in SPLITS}, "test": tested}
    write_datalist(cohort, splits)
    found = evaluate(dataset_dir=str(cohort), group_columns=["sex"], age_column="age")
    assert [row.get("sex") for row in found["groups"]] == ["f", "m", None]
    assert [row["n"] for row in found["groups"]] == [1, 1, 2]
    assert found["gaps"][0]["verdict"] == "too few to judge"
    assert len(found["age"]) == 2
    page = (site / "eval" / "report.html").read_text()
    assert "too few to judge" in page
    assert "sex f" in page


def test_user_errors(failing, site):
    other = {"network_def#features": [4, 4, 8, 8, 16]}
    message = failing(**other)
    assert "weights of another network" in message
    run = json.loads((site / "models" / "model.json").read_text())["run_name"]
    assert message.endswith(f"give the config that it was trained with, as --run {run} does")
    assert "expected one of iou, dice" in failing(threshold_metric="roc")
    assert "expected one of iou, dice" in failing(threshold_metric="f1")  # no instances here
    assert "tta_versions: found 9, expected a whole number, 1 to 8" in failing(tta_versions=9)
    (site / "models" / "model.pt").write_bytes(b"truncated")
    assert "not a readable checkpoint" in failing()
    (site / "models" / "model.pt").unlink()
    assert "no such checkpoint; train first" in failing()
    assert not (site / "eval").exists()


def test_a_record_of_other_weights(failing, site):
    (run_folder,) = [p for p in (site / "models").iterdir() if p.is_dir()]
    record = json.loads((site / "models" / "model.json").read_text())
    (run_folder / "model.json").write_text(json.dumps({**record, "sha256": "0" * 64}))
    line = failing(model=str(run_folder / "model.pt"))
    assert "belongs to other weights than model.pt" in line


def test_two_evaluations_are_compared_case_by_case(evaluate, site, capsys):
    evaluate(threshold=0.3)
    evaluate(threshold=0.7, output_dir=str(site / "other"))
    tables = [json.loads((site / name / "cases.json").read_text()) for name in ("other", "eval")]
    capsys.readouterr()
    arguments = ["--tracking", str(site / "mlruns"), "--metric", "iou", "--out", str(site / "out")]
    assert cli.main(["compare", "bundle=membranes", *arguments]) == 0
    expected = tables[1][0]["iou"] - tables[0][0]["iou"]
    assert f"iou {expected:+.4f}" in capsys.readouterr().out
    (row,) = csv.DictReader((site / "out" / "comparison.csv").open())
    assert float(row["difference in iou"]) == pytest.approx(expected, abs=1e-6)
    client = MlflowClient(f"sqlite:///{site / 'mlruns' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("membranes").experiment_id
    (run,) = client.search_runs([experiment], "tags.run = 'compare'")
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert files == {"comparison.csv", "comparison.png"}
    training = json.loads((site / "models" / "model.json").read_text())["mlflow_run_id"]
    assert cli.main(["compare", training, *arguments]) == 0  # its evaluations are its children
    assert cli.main(["compare", "nothing", *arguments]) == 1
    assert "nothing: no finished evaluation of this name" in capsys.readouterr().err
    assert cli.main(["compare", "it's", *arguments]) == 1
    assert "expected a name without quotes" in capsys.readouterr().err
    assert cli.main(["compare", "a", "b", "--tracking", str(site / "none")]) == 1
    assert "no such tracking store" in capsys.readouterr().err
