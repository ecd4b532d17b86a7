import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from PIL import Image

from pipeline import cli
from pipeline.bundle.codes import read_codes
from pipeline.inference import TrainedModel
from pipeline.sharing.archive import open_archive
from pipeline.sharing.isolation import PLAIN
from pipeline.sharing.sample_run import run_sample
from pipeline.sharing.unpack import unpack
from tests.bundles.handing_over.calls import BUNDLE, pack
from tests.bundles.handing_over.conftest import AUTHOR
from tests.conftest import ROOT

NO_RUNS = shutil.ignore_patterns("models", "eval", "explanation", "predictions")


def test_packing_twice_gives_the_same_bytes(evaluated, package, tmp_path):
    pack(evaluated, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == package.read_bytes()


def test_nothing_of_a_patient_leaves(package, cohort, evaluated):
    content = package.read_bytes().lower()
    for word in ("zwickl", "ladder", "43.71", "1983-02-11", "geheim", str(cohort), str(evaluated)):
        assert word.lower().encode() not in content, word
    with zipfile.ZipFile(package) as archive:
        pictures = [name for name in archive.namelist() if name.endswith((".png", ".tif"))]
        assert {Path(name).parent.name for name in pictures} == {"sample"}
        image = next(archive.read(name) for name in pictures if "image" in name)
    pixels = np.asarray(Image.open(io.BytesIO(image)))
    own = [np.asarray(Image.open(path)) for path in (cohort / "images").iterdir()]
    assert not any(
        np.array_equal(pixels[: image.shape[0], : image.shape[1]], image) for image in own
    )


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("Ask Zwickl-Huber training 3, who fell from a ladder.", "in the datalist"),
        (f"Segmented by {AUTHOR}.", "PNG Author of zwickl_0"),
    ],
)
def test_a_bundle_with_patient_data_is_not_packed(evaluated, tmp_path, capsys, text, origin):
    bundle = shutil.copytree(BUNDLE, tmp_path / "membranes", ignore=NO_RUNS)
    licence = bundle / "docs" / "data_license.txt"
    licence.write_text(f"{text}\n")
    tracking = ["--tracking", str(evaluated / "mlruns"), "--run", "geheim_run"]
    assert cli.main(["pack", str(bundle), *tracking, "--out", str(tmp_path / "b.zip")]) == 1
    line = capsys.readouterr().err
    assert "of your data, which must not leave" in line
    assert origin in line
    assert "README.md" in line or "data_license.txt" in line
    assert not (tmp_path / "b.zip").exists()


def test_codes_and_colours_for_dicom_go_with_the_bundle(evaluated, tmp_path):
    bundle = shutil.copytree(BUNDLE, tmp_path / "membranes", ignore=NO_RUNS)
    path = bundle / "configs" / "metadata.json"
    category = ["91723000", "SCT", "Anatomical Structure"]
    codes = {"category": category, "type": ["4421005", "SCT", "Cell"], "colour": [1, 2, 3]}
    content = {**json.loads(path.read_text()), "supported_apps": {"dicom": {"interior": codes}}}
    path.write_text(json.dumps(content))
    store = shutil.copytree(evaluated / "mlruns", tmp_path / "mlruns")  # it has its own versions
    tracking = ["--tracking", str(store), "--run", "geheim_run"]
    assert cli.main(["pack", str(bundle), *tracking, "--out", str(tmp_path / "b.zip")]) == 0
    archive = open_archive(tmp_path / "b.zip")
    unpack(archive, tmp_path / "received")
    received = read_codes(tmp_path / "received" / "configs" / "metadata.json", ["interior"])
    assert received.uncoded == ()
    assert received.structures[0].type == ("4421005", "SCT", "Cell")
    assert received.structures[0].colour == (1, 2, 3)


def test_the_weights_are_the_ones_that_were_evaluated(package, evaluated, tmp_path):
    """They are packed as safetensors alone, and unpacked as a state dict, too."""
    assert "models/model.pt" not in open_archive(package).files
    unpack(open_archive(package), tmp_path)
    trained = TrainedModel(evaluated / "models" / "model.pt")
    for name in ("model.pt", "model.safetensors"):
        model = TrainedModel(tmp_path / "models" / name)
        assert model.record.sha256 == trained.record.sha256
        assert model.weights.keys() == trained.weights.keys()
        for key, tensor in trained.weights.items():
            assert torch.equal(model.weights[key], tensor)


def test_card_and_metadata_state_the_evaluated_scores(package, evaluated):
    archive = open_archive(package)
    card = archive.read("docs/README.md").decode()
    iou = json.loads((evaluated / "e" / "summary.json").read_text())["test"]["iou"]
    metadata = json.loads(archive.read("configs/metadata.json"))
    assert f"| iou | {iou['mean']:.4f} |" in card
    assert metadata["eval_metrics"]["iou"] == round(iou["mean"], 4)
    assert "Weights: trained on images of the sender's own.\n" in card
    assert {"monai_version", "pytorch_version"} <= metadata.keys()
    assert "scikit-image" in metadata["required_packages_version"]


def test_a_group_of_few_patients_is_left_out(package):
    evaluation = json.loads(open_archive(package).read("docs/evaluation.json"))
    assert evaluation["groups"] == []
    assert evaluation["groups_left_out"] > 0
    assert evaluation["gaps"] == []
    assert "age" not in evaluation
    fingerprint = json.loads(open_archive(package).read("docs/fingerprint.json"))
    assert fingerprint["groups"]["sex"] == {"others": 15}


def test_the_package_is_registered_once(evaluated, package):
    client = MlflowClient(f"sqlite:///{evaluated / 'mlruns' / 'mlflow.db'}")
    packed = client.get_model_version_by_alias("membranes", "packed")
    versions = client.search_model_versions("name = 'membranes'")
    (version,) = [version for version in versions if version.source.endswith(".zip")]
    assert packed.version == version.version
    run = client.get_run(version.run_id)
    assert run.info.run_name == "geheim_run"
    assert len(version.tags["sha256"]) == 64


def test_metadata_with_other_scores_are_refused(evaluated, tmp_path, capsys):
    bundle = shutil.copytree(BUNDLE, tmp_path / "membranes", ignore=NO_RUNS)
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    metadata["eval_metrics"] = {"iou": 0.99}
    (bundle / "configs" / "metadata.json").write_text(json.dumps(metadata))
    tracking = ["--tracking", str(evaluated / "mlruns"), "--run", "geheim_run"]
    assert cli.main(["pack", str(bundle), *tracking, "--out", str(tmp_path / "b.zip")]) == 1
    assert "eval_metrics iou is 0.99, the evaluation has" in capsys.readouterr().err


def test_a_run_of_another_bundle_is_refused(evaluated, tmp_path, capsys):
    tracking = ["--tracking", str(evaluated / "mlruns"), "--run", "geheim_run"]
    other = str(ROOT / "bundles" / "lungs_xray")
    assert cli.main(["pack", other, *tracking, "--out", str(tmp_path / "b.zip")]) == 1
    assert "the run belongs to the bundle membranes" in capsys.readouterr().err


def test_a_cohort_that_has_moved_is_asked_for_by_the_flag_of_the_command(
    evaluated, tmp_path, capsys
):
    assert pack(evaluated, tmp_path / "b.zip", "--dataset-dir", str(tmp_path / "gone")) == 1
    line = capsys.readouterr().err
    assert "gone: no such folder; expected the cohort of the evaluation; give --dataset-dir" in line


def test_without_an_evaluation_nothing_is_packed(trained, tmp_path, capsys):
    tracking = ["--tracking", str(trained / "mlruns"), "--run", "no_such_run"]
    assert cli.main(["pack", str(BUNDLE), *tracking, "--out", str(tmp_path / "b.zip")]) == 1
    assert "no_such_run: no finished evaluation" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lungs_ct", "lungs_xray", "nuclei", "pancreas_ct"])
def test_every_bundle_of_the_project_is_accepted(run_bundle, phantom, tmp_path, name, capsys):
    bundle = ROOT / "bundles" / name
    settings = {"folder": bundle, "dataset_dir": str(phantom), "run_name": name}
    if name == "nuclei":  # MONAI's U-Net takes one number more
        settings["network_def#features"] = [4, 4, 8, 8, 8, 4]
    run_bundle(tmp_path, "training", **settings)
    settings |= {"run_name": "evaluation", "output_dir": str(tmp_path / "e")}
    run_bundle(tmp_path, "evaluating", **settings)
    call = ["pack", str(bundle), "--run", name, "--tracking", str(tmp_path / "mlruns")]
    assert cli.main([*call, "--out", str(tmp_path / "b.zip")]) == 0
    assert cli.main(["audit", str(tmp_path / "b.zip")]) == 0
    assert "accepted" in capsys.readouterr().out
    unpack(open_archive(tmp_path / "b.zip"), tmp_path / "bundle")
    assert run_sample(tmp_path / "bundle", PLAIN).enough
