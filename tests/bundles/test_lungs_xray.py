"""The X-ray bundle on twelve real images, three of each sex and finding."""

import csv
import json
import shutil

import pytest

from pipeline import cli
from pipeline.training import balanced_weights

SMALL = {"patch": [64, 64], "window": [64, 64], "network_def#features": [2, 4, 4, 8]}


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


def test_an_evaluation_tells_of_every_group(run_bundle, bundle, cohort, tmp_path):
    configs = bundle.parents[1] / "lungs_xray" / "configs"
    data = {"dataset_dir": str(cohort), **SMALL}
    run_bundle(tmp_path, "training", configs=configs, **data)
    out = tmp_path / "eval"
    run_bundle(tmp_path, "evaluating", ["evaluate.yaml"], configs, output_dir=str(out), **data)
    found = json.loads((out / "summary.json").read_text())
    cells = [group for group in found["groups"] if "sex" in group and "finding" in group]
    assert {(group["sex"], group["finding"]) for group in cells} == {
        (sex, finding) for sex in ("male", "female") for finding in ("normal", "abnormal")
    }
    assert [gap["verdict"] for gap in found["gaps"]] == ["too few to judge"] * 2
    assert len(found["age"]) >= 1
    page = (out / "report.html").read_text()
    assert "sex male, finding normal" in page
    why = {"output_dir": str(tmp_path / "why"), "occlusion_size": 128, "layers": ["decoder1"]}
    run_bundle(tmp_path, "explaining", ["explain.yaml"], configs, **why, **data)
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
    images = {"image_dir": str(cohort / "images"), "output_dir": str(tmp_path / "out")}
    run_bundle(tmp_path, "inferring", ["inference.yaml"], configs, **images, **data)
    assert len(list((tmp_path / "out" / "mask").iterdir())) == 12


def test_balanced_training_draws_every_group_alike(run_bundle, bundle, cohort, tmp_path):
    configs = bundle.parents[1] / "lungs_xray" / "configs"
    overlay = ["experiments/balanced.yaml"]
    run_bundle(tmp_path, "training", overlay, configs, dataset_dir=str(cohort), **SMALL)
    assert (tmp_path / "models" / "model.pt").is_file()
    weights = balanced_weights(str(cohort), ["sex"])
    rows = json.loads((cohort / "datalist.json").read_text())["training"]
    of_each = {
        sex: sum(weight for weight, row in zip(weights, rows, strict=True) if row["sex"] == sex)
        for sex in ("male", "female")
    }
    assert of_each == pytest.approx({"male": 1, "female": 1})
    with pytest.raises(ValueError, match="group column 'weight': no image has it"):
        balanced_weights(str(cohort), ["weight"])
