import csv
import json
import shutil
from functools import partial

import pytest
from mlflow import MlflowClient
from PIL import Image

from pipeline.explanation.section import BEGIN

SIZE, SIDE = "case_settings#occlusion#size", "case_settings#side"
LAYERS, COLUMNS = "case_settings#layers", "groups#columns"
QUICK = {SIZE: 32, "latent_settings#clusters": 2}


@pytest.fixture
def explain(run_bundle, site, phantom):
    def explain(**overrides):
        usual = {"output_dir": str(site / "why"), "dataset_dir": str(phantom), **QUICK}
        run_bundle(site, "explaining", **{**usual, **overrides})
        return json.loads((site / "why" / "explanation.json").read_text())

    return explain


@pytest.fixture
def evaluated(run_bundle, site, phantom):
    folder = site / "eval"
    data = {"dataset_dir": str(phantom), "tta_versions": 1, "output_dir": str(folder)}
    run_bundle(site, "evaluating", **data)
    return folder


@pytest.fixture
def failing(explain, error_of):
    return partial(error_of, explain)


def test_what_an_explanation_writes(evaluated, explain, site):
    found = explain()
    assert {p.name for p in (site / "why").iterdir()} == {
        "explanation.json", "report.html",
        "occlusion.png", "feature_maps.png", "channels.png",
        "latent.png", "silhouettes.png", "nearest.png", "silhouettes.csv", "steps.png",
        "occlusion.csv", "redundancy.csv", "latent_images.csv", "steps.csv", "step_images.csv",
        "strongest.png", "strongest.csv",
    }  # fmt: skip
    assert found["without_groups"] == "without groups: groups#columns is empty"
    assert [row["why"] for row in found["cases"]] == ["worst of all; best of all"]
    assert [row["step"] for row in found["redundancy"]][4] == "bottleneck"
    assert found["latent"]["layer"] == "bottleneck"
    rows = list(csv.DictReader((site / "why" / "latent_images.csv").open()))
    assert sorted(row["split"] for row in rows) == ["test", *["training"] * 3, "validation"]
    page = (site / "why" / "report.html").read_text()
    assert page.count(BEGIN) == 1
    assert page.startswith((evaluated / "report.html").read_text()[:2000])
    assert "http" not in page.partition(BEGIN)[2]
    json.dumps(found, allow_nan=False)


def test_it_is_a_child_of_the_training_run(evaluated, explain, site):
    found = explain()
    client = MlflowClient(f"sqlite:///{site / 'mlruns' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("membranes").experiment_id
    (child,) = client.search_runs([experiment], "tags.run = 'explaining'")
    (training,) = client.search_runs([experiment], "tags.run = 'training'")
    assert child.info.status == "FINISHED"
    assert child.data.tags["mlflow.parentRunId"] == training.info.run_id
    saliency = found["cases"][0]["agreement_saliency"]
    assert child.data.metrics["explain_agreement_saliency"] == pytest.approx(saliency)
    assert "report.html" in {file.path for file in client.list_artifacts(child.info.run_id)}


def test_the_same_seed_explains_the_same(evaluated, explain):
    assert explain()["cases"] == explain()["cases"]


def test_a_quick_explanation_says_what_it_cuts(evaluated, explain, site, capsys):
    found = explain(quick=True, **{SIZE: None, "case_settings#versions": 8})
    assert found["quick"].startswith("quick: the best and the worst of all images alone")
    assert found["quick"] in capsys.readouterr().out
    assert found["quick"] in (site / "why" / "report.html").read_text()
    assert found["occlusion"]["size"] == "13", "5 x 5 regions of 64 pixels"
    assert found["latent"]["images"] == 5, "fewer than a quick explanation takes"


def test_the_steps_are_measured_and_traced(evaluated, explain):
    found = explain()
    steps = found["steps"]
    assert [row["step"] for row in steps["means"]][5:7] == ["bottleneck.1", "bottleneck.2"]
    assert len(steps["observations"]) == 3
    assert all("probe_region_auc" in row for row in steps["means"])
    assert {row["level"] for row in found["strongest"]["activations"]} == {
        "encoder1", "encoder2", "encoder3", "encoder4", "bottleneck",
    }  # fmt: skip


def test_the_harm_may_be_measured_without_truth(evaluated, explain):
    with_truth, without = (
        explain(**{"case_settings#against": what})["cases"][0] for what in ("truth", "prediction")
    )
    assert without["harm_mean"] > 0
    assert with_truth["harm_mean"] != without["harm_mean"]


def test_an_evaluation_in_a_folder(evaluated, explain, site):
    shutil.copytree(evaluated, site / "copied")
    rows = json.loads((site / "copied" / "cases.json").read_text())
    (site / "copied" / "cases.json").write_text(json.dumps([{**rows[0], "accuracy": 0.123}]))
    found = explain(evaluation=str(site / "copied"), **{"groups#metric": "accuracy"})
    assert found["cases"][0]["accuracy"] == 0.123


def test_pictures_of_an_earlier_run_stay_out(evaluated, explain, site):
    (site / "why").mkdir()
    Image.new("RGB", (8, 8)).save(site / "why" / "latent_umap.png")
    explain()
    assert "the same by UMAP" not in (site / "why" / "report.html").read_text()


def test_the_crops_of_a_weighted_loss_have_their_weights(evaluated, explain, phantom):
    """Doubling the weight map doubles the harm."""
    once, twice = (
        explain(
            **{
                "loss": {"_target_": "pipeline.losses.PixelWeightedBCELoss"},
                "label_preprocessing": [
                    {"_target_": "transforms.BinaryMaskd", "keys": "label"},
                    {"_target_": "CopyItemsd", "keys": "label", "names": "weight"},
                    {"_target_": "Lambdad", "keys": "weight", "func": f"$lambda x: 0 * x + {w}"},
                ],
            }
        )["cases"][0]["harm_mean"]
        for w in (1.0, 2.0)
    )
    assert twice == pytest.approx(2 * once)


def test_a_column_that_images_lack_is_left_out_and_said(evaluated, explain):
    found = explain(**{COLUMNS: ["sex"]})
    assert found["without_groups"].startswith("without groups by sex: not every image has it; col")
    assert found["columns"] == []


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"latent_settings#clusters": 6},
            "clusters: found 5 images for 6 clusters; give more images or fewer",
        ),
        ({SIZE: 65}, "occlusion size: found 65 pixels for an image of 64 x 64"),
        (
            {"case_settings#occlusion#fill": "black"},
            "occlusion fill: found 'black', expected one of noise",
        ),
        ({SIZE: 0}, "occlusion size: found 0, expected 1 or more"),
        ({SIDE: 0}, "case_settings#side: found 0, expected 1 or more pixels"),
        (
            {"latent_settings#grid": [8, 8, 8]},
            "latent_settings#grid: found [8, 8, 8], expected 2 sides",
        ),
        ({COLUMNS: "sex"}, "groups#columns: found 'sex', expected a list"),
        ({LAYERS: "encoder1"}, "layers: found 'encoder1', expected a list"),
        ({"case_settings#against": "hope"}, "against: found 'hope', expected truth or prediction"),
        (
            {"latent_settings#layer": "latent"},
            "found 'latent', expected names of UNet; ask for some",
        ),
        ({"case_settings#cam_layer": "x4_0"}, "found 'x4_0', expected names of UNet"),
        ({LAYERS: ["encoder9"]}, "found 'encoder9', expected names of UNet"),
        ({"groups#metric": "joy"}, "metric 'joy': not in the table of cases"),
        ({"evaluation": "/nowhere"}, "/nowhere/cases.json: no such file; give an evaluation's"),
    ],
)
def test_a_user_error_is_one_line(evaluated, failing, overrides, message):
    found = failing(**overrides)
    assert message in found
    assert "\n" not in found


def test_a_model_that_was_not_evaluated(failing):
    assert "no finished evaluation of it on this cohort in the tracking store" in failing()


def test_without_an_image_of_the_evaluation(evaluated, failing):
    rows = json.loads((evaluated / "cases.json").read_text())
    (evaluated / "cases.json").write_text(json.dumps([{**row, "image": "x"} for row in rows]))
    assert "holds no image of the evaluation" in failing(evaluation=str(evaluated))
