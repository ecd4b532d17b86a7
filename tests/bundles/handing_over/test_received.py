import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from monai.bundle import load, push_to_hf_hub
from PIL import Image

from pipeline.bundle import Bundle
from pipeline.data.phantom import write_cells
from pipeline.files import sha256
from pipeline.networks import UNet
from tests.bundles.handing_over.calls import run_received


def test_a_received_bundle_infers_by_its_own_source_from_any_folder(received, package, tmp_path):
    write_cells(tmp_path / "own", count=3, size=64, seed=9)
    bright = np.full((64, 64), 255, np.uint8)
    bright[0, 0] = 254  # one value everywhere is refused
    Image.fromarray(bright).save(tmp_path / "own" / "images" / "white.png")
    printed = run_received(
        received, "inferring", "inference.yaml", tmp_path,
        image_dir=tmp_path / "own" / "images", output_dir=tmp_path / "out",
    )  # fmt: skip
    assert f"source {received / 'pipeline' / '__init__.py'}" in printed
    report = json.loads((tmp_path / "out" / "run_report.json").read_text())
    assert report["received_archive_sha256"] == sha256(package)
    quality = {row["image"]: row["quality"] for row in report["per_image"]}
    assert quality["white.png"] == "unlike the training images"
    assert quality["cells_000.png"] == "like the training images"
    assert "quality     white.png: darkest 25" in printed


def test_a_received_bundle_writes_where_the_user_says_alone(received, tmp_path):
    shutil.copytree(received, tmp_path / "bundle")
    config = tmp_path / "bundle" / "configs" / "inference.yaml"
    content = yaml.safe_load(config.read_text("utf-8"))
    content["output_dir"] = str(tmp_path / "elsewhere")  # as if the audit had missed it
    config.write_text(yaml.safe_dump(content), "utf-8")
    images = {"image_dir": str(received / "sample")}
    workflow = Bundle(tmp_path / "bundle", overrides=images).workflow("inferring")
    workflow.initialize()
    with pytest.raises((RuntimeError, ValueError)) as error:
        workflow.run()
    assert "outside the received bundle" in str(error.value.__cause__ or error.value)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("run", ["training", "evaluating", "inferring"])
def test_the_workflow_has_monais_properties(received, run, cohort, tmp_path):
    places = {"dataset_dir": cohort, "output_dir": tmp_path / "out", "tracking_dir": tmp_path}
    bundle = Bundle(received, overrides={key: str(path) for key, path in places.items()})
    workflow = bundle.workflow(run)
    workflow.initialize()
    assert workflow.check_properties() == []


@pytest.mark.slow
def test_a_received_bundle_is_evaluated_and_fine_tuned_on_own_patients(
    received, cohort, tmp_path, capfd
):
    """The fine-tuning, and the evaluations that it starts, run by the received source."""
    write_cells(tmp_path / "own", count=5, size=64, seed=9)
    before = (received / "models" / "model.json").read_bytes()
    evaluating = {"dataset_dir": str(tmp_path / "own"), "output_dir": str(tmp_path / "eval")}
    Bundle(received, overrides=evaluating).run("evaluating")
    printed = capfd.readouterr().out
    summary = json.loads((tmp_path / "eval" / "summary.json").read_text())
    sent = json.loads((received / "docs" / "evaluation.json").read_text())
    assert summary["reference"]["scores"]["iou"]["reference"]["mean"] == sent["test"]["iou"]["mean"]
    assert summary["reference"]["scores"]["iou"]["own"]["mean"] == summary["test"]["iou"]["mean"]
    assert summary["operating_point"]["threshold"] == sent["threshold"]
    assert summary["reference"]["shift"]["images"] == [15, 1]
    assert "iou         reference" in printed
    assert "Shift from the training images" in (tmp_path / "eval" / "report.html").read_text()
    record = json.loads(before)
    assert (received / "models" / "model.json").read_bytes() == before

    model = received / "models" / "model.pt"
    weights = torch.load(model, weights_only=True)
    settings = {"dataset_dir": tmp_path / "own", "init_from": model, "max_epochs": 1}
    still = {"learning_rate": 0.0, "steps_per_epoch": 1}
    settings |= {"reference_dir": cohort, "output_dir": tmp_path / "tuned"}
    printed = run_received(received, "training", "train.yaml", tmp_path, **settings, **still)
    fine_tuned = torch.load(received / "own_models" / "model.pt", weights_only=True)
    same = [
        torch.equal(fine_tuned[name], tensor) for name, tensor in weights.items() if "conv" in name
    ]
    assert same
    assert all(same)
    assert model.read_bytes() != (received / "own_models" / "model.pt").read_bytes()
    seen = set(json.loads((received / "own_models" / "model.json").read_text())["trained_on"])
    assert set(record["trained_on"]) < seen
    assert "dice, test split     initial  fine-tuned      gain" in printed
    both = json.loads((tmp_path / "tuned" / "fine_tuning.json").read_text())
    ran = {}
    for name in (
        "initial_on_own", "fine_tuned_on_own", "initial_on_reference", "fine_tuned_on_reference",
    ):  # fmt: skip
        ran[name] = json.loads((tmp_path / "tuned" / name / "summary.json").read_text())
        which, whose = name.split("_on_")
        assert both[whose][which] == pytest.approx(ran[name]["test"]["dice"]["mean"], abs=1e-6)
    assert both["reference"]["difference"]["n"] == 5
    points = {name: content["operating_point"]["threshold"] for name, content in ran.items()}
    assert points["initial_on_own"] == sent["threshold"]
    own = ran["fine_tuned_on_own"]["threshold_source"]
    assert own == "chosen by accuracy on validation"
    assert points["fine_tuned_on_reference"] == points["fine_tuned_on_own"]


def test_monai_loads_its_weights(received):
    definition = yaml.safe_load((received / "configs" / "train.yaml").read_text())["network_def"]
    definition.pop("_target_")
    definition |= {"spatial_dims": 2, "in_channels": 1, "out_channels": 1}
    model = load(
        received.name, model=UNet(**definition), bundle_dir=str(received.parent), device="cpu"
    )
    for name, tensor in torch.load(received / "models" / "model.pt", weights_only=True).items():
        assert torch.equal(model.state_dict()[name], tensor)


def test_it_has_the_layout_of_the_hugging_face_hub(received, tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    sent = {}

    class Offline:
        """Records what would be sent."""

        def __init__(self, token=None):
            pass

        def create_repo(self, **_):
            pass

        def upload_folder(self, repo_id, folder_path, **_):
            sent[repo_id] = {path.name for path in Path(folder_path).iterdir()}
            return "nowhere"

    monkeypatch.setattr(hub, "HfApi", Offline)
    shutil.copytree(received, tmp_path / "cells")
    push_to_hf_hub(repo="clinic/cells", name="cells", bundle_dir=str(tmp_path))
    assert {"README.md", "LICENSE", "configs", "models", "docs"} <= sent["clinic/cells"]
    card = hub.ModelCard.load(received / "docs" / "README.md")
    assert card.data.license_name == "images-of-the-sender-s-own"
    assert {score.metric_type for score in card.data.eval_results} > {"iou", "dice", "accuracy"}
    assert "library_name: monai" in (tmp_path / "cells" / "README.md").read_text()
