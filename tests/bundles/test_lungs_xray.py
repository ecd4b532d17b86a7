"""The X-ray bundle on twelve real images, three of each sex and finding."""

import csv
import json
import shutil

import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from skimage.io import imread

from pipeline import cli
from pipeline.data import read_datalist
from pipeline.evaluation.baselines import pos_weight
from pipeline.training import balanced_weights

SIDES = {"size": [64, 64], "patch": [64, 64], "window": [64, 64]}
SMALL = {**SIDES, "network_def#features": [2, 4, 4, 8]}


@pytest.fixture(scope="module")
def cohort(real_data, tmp_path_factory):
    root, shenzhen = tmp_path_factory.mktemp("xray"), real_data / "shenzhen"
    readings = list(csv.DictReader((shenzhen / "clinical_readings.csv").open()))
    chosen: dict[tuple[str, bool], list[str]] = {}
    for row in readings:
        name = row["study_id"].removesuffix(".png")
        some = chosen.setdefault((row["sex"][:1].lower(), "normal" in row["findings"]), [])
        if len(some) < 3 and (shenzhen / "mask" / f"{name}_mask.png").is_file():
            some.append(name)
    for kind in ("CXR_png", "mask"):
        (root / "source" / kind).mkdir(parents=True)
    for name in (name for names in chosen.values() for name in names):
        shutil.copy(shenzhen / "CXR_png" / f"{name}.png", root / "source" / "CXR_png")
        shutil.copy(shenzhen / "mask" / f"{name}_mask.png", root / "source" / "mask")
    shutil.copy(shenzhen / "clinical_readings.csv", root / "source")
    command = ["data", "prepare", "shenzhen", "--size", "64", "--sizes", "4", "4", "4"]
    assert cli.main([*command, "--source", str(root / "source"), "--out", str(root / "data")]) == 0
    return root / "data"


def test_an_evaluation_scores_every_group(run_bundle, bundle, cohort, tmp_path, capsys):
    folder = bundle.parents[1] / "lungs_xray"
    data = {"dataset_dir": str(cohort), **SMALL}
    run_bundle(tmp_path, "training", folder=folder, **data)
    out = tmp_path / "eval"
    run_bundle(tmp_path, "evaluating", folder=folder, output_dir=str(out), **data)
    found = json.loads((out / "summary.json").read_text())
    cells = [group for group in found["groups"] if "sex" in group and "finding" in group]
    assert {(group["sex"], group["finding"]) for group in cells} == {
        (sex, finding) for sex in ("male", "female") for finding in ("normal", "abnormal")
    }
    assert [gap["verdict"] for gap in found["gaps"]] == ["too few to judge"] * 2
    assert len(found["age"]) >= 1
    assert sum(group["n"] for group in found["age_bins"]) == 4
    page = (out / "report.html").read_text()
    assert "sex male, finding normal" in page
    why = {
        "output_dir": str(tmp_path / "why"),
        "case_settings#occlusion#size": 128,
        "case_settings#layers": ["decoder1"],
    }
    run_bundle(tmp_path, "explaining", folder=folder, **why, **data)
    explained = json.loads((tmp_path / "why" / "explanation.json").read_text())
    assert explained["occlusion"]["size"] == "16", "128 pixels of 512 are 16 of 64"
    assert {word for row in explained["cases"] for word in row["why"].split("; ")} == {
        f"{which} {value}"
        for which in ("best", "worst")
        for value in ("male", "female", "normal", "abnormal")
    }
    assert (
        sum(sum(row[f"cluster {k}"] for k in range(1, 5)) for row in explained["latent"]["content"])
        == 12
    )
    assert [row["groups"] for row in explained["latent"]["agreement"]] == [
        "sex",
        "finding",
        "sex x finding",
    ]
    again = str(tmp_path / "again")
    run_bundle(tmp_path, "evaluating", folder=folder, output_dir=again, threshold=0.9, **data)
    capsys.readouterr()
    tracking = ["--tracking", str(tmp_path / "mlruns"), "--metric", "iou"]
    assert cli.main(["compare", "run=evaluating", *tracking, "--groups", "sex", "finding"]) == 0
    printed = capsys.readouterr().out
    assert "  sex female, finding normal: " in printed
    assert "  gap of sex female to male: " in printed
    assert printed.count("too few to judge") == 8 + 2
    images = {"image_dir": str(cohort / "images"), "output_dir": str(tmp_path / "out")}
    run_bundle(tmp_path, "inferring", folder=folder, **images, **data)
    assert len(list((tmp_path / "out" / "mask").iterdir())) == 12


def test_balanced_training_draws_every_group_alike(run_bundle, bundle, cohort, tmp_path):
    configs = bundle.parents[1] / "lungs_xray" / "configs"
    data, overlay = tmp_path / "data", configs / "experiments" / "balanced.yaml"
    shutil.copytree(cohort, data)
    content = json.loads((data / "datalist.json").read_text())
    content["training"] = [  # four, of whom one is a woman
        *(row for row in content["training"] if row["sex"] == "male"),
        next(row for row in content["training"] if row["sex"] == "female"),
    ][-4:]
    (data / "datalist.json").write_text(json.dumps(content))
    settings = {"dataset_dir": str(data), "balanced_by": ["sex"], "steps_per_epoch": 100, **SMALL}
    places = {name: str(tmp_path / name) for name in ("models_dir", "tracking_dir")}
    files = [str(configs / "train.yaml"), str(overlay)]
    workflow = ConfigWorkflow(files, run_id="training", **settings, **places, batch_size=4)
    workflow.initialize()
    drawn = list(workflow.parser.get_parsed_content("train#sampler"))
    women = sum(content["training"][i]["sex"] == "female" for i in drawn)
    assert len(drawn) == 400
    assert 160 < women < 240
    weights = balanced_weights(str(data), ["sex"])
    assert max(weights) == 1
    assert sum(weights) == pytest.approx(2)
    run_bundle(
        tmp_path, "training", [overlay], configs.parent, **{**settings, "steps_per_epoch": 1}
    )
    assert (tmp_path / "models" / "model.pt").is_file()
    with pytest.raises(ValueError, match="group column 'weight': no image has it"):
        balanced_weights(str(cohort), ["weight"])


def test_the_papers_rate_is_halved_after_ten_epochs_without_a_better_one(bundle, cohort):
    configs = bundle.parents[1] / "lungs_xray" / "configs"
    overlay = configs / "experiments" / "a_look_into_unet_chest_xray" / "unet.yaml"
    parser = ConfigParser(ConfigParser.load_config_files([configs / "train.yaml", overlay]))
    parser["network_def#features"] = [2, 4, 4, 8, 8]
    parser["dataset_dir"] = str(cohort)
    scheduler = parser.get_parsed_content("lr_scheduler")
    rates = []
    for iou in (0.8, *[0.8] * 10):
        scheduler.step(iou)
        rates.append(scheduler.get_last_lr()[0])
    assert rates == [0.01] * 10 + [0.005]
    masks = [imread(entry.label) for entry in read_datalist(cohort).entries("training")]
    weight = parser.get_parsed_content("loss").pos_weight.item()
    assert weight == pytest.approx(pos_weight(map(torch.tensor, masks)))
