"""The X-ray bundle on twelve real images, three of each sex and finding."""

import csv
import json
import shutil

import pytest

from pipeline import cli

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
    images = {"image_dir": str(cohort / "images"), "output_dir": str(tmp_path / "out")}
    run_bundle(tmp_path, "inferring", ["inference.yaml"], configs, **images, **data)
    assert len(list((tmp_path / "out" / "mask").iterdir())) == 12
