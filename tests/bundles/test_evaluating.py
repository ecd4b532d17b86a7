import csv
import json
import re

import pytest
from mlflow import MlflowClient

from pipeline.mistakes import mistake_of


@pytest.fixture
def evaluate(run_bundle, site, phantom):
    def evaluate(**overrides):
        overrides = {"tta_versions": 1, "output_dir": str(site / "eval"), **overrides}
        run_bundle(site, "evaluating", ["evaluate.yaml"], dataset_dir=str(phantom), **overrides)
        return json.loads((site / "eval" / "summary.json").read_text())

    return evaluate


@pytest.fixture
def failing(evaluate):
    def failing(**overrides):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - MONAI wraps what its runs raise
            evaluate(**overrides)
        return mistake_of(caught.value)

    return failing


def test_what_an_evaluation_writes(evaluate, site):
    found = evaluate()
    assert {p.name for p in (site / "eval").iterdir()} == {
        "cases.csv", "summary.json", "overlays", "report.html",
    }  # fmt: skip
    rows = list(csv.DictReader((site / "eval" / "cases.csv").open()))
    assert len(rows) == found["test"]["iou"]["n"] == 1
    assert float(rows[0]["iou"]) == pytest.approx(found["test"]["iou"]["mean"], abs=1e-6)
    assert found["baselines"]["all foreground"]["accuracy"] < 1


def test_the_threshold_is_stored_with_the_model(evaluate, site):
    found = evaluate()
    record = json.loads((site / "models" / "model.json").read_text())
    assert record["threshold"] == found["threshold"]
    assert record["threshold_by"] == {"metric": "accuracy", "split": "validation"}


def test_a_given_threshold_is_used_and_not_stored(evaluate, site):
    assert evaluate(threshold=0.7)["threshold"] == 0.7
    assert "threshold" not in json.loads((site / "models" / "model.json").read_text())


def test_the_evaluation_is_a_child_of_the_training_run(evaluate, site):
    found = evaluate()
    client = MlflowClient(f"sqlite:///{site / 'mlruns' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("membranes").experiment_id
    (child,) = client.search_runs([experiment], "tags.run = 'evaluating'")
    assert child.info.status == "FINISHED"
    assert child.data.tags["mlflow.parentRunId"] == found["model"]["mlflow_run_id"]
    assert child.data.metrics["test_iou"] == pytest.approx(found["test"]["iou"]["mean"])
    assert child.data.params["network_def"] == "BasicUNet"


def test_the_report_is_one_file_that_needs_no_network(evaluate, site):
    evaluate()
    page = (site / "eval" / "report.html").read_text()
    assert re.findall(r'(?:src|href)="(?!data:|#)', page) == []
    assert "cells_" in page
    assert page.count("<svg") == 2  # training curves and threshold curve


def test_mistakes(failing, site):
    other = {"network_def#features": [4, 4, 8, 8, 16, 4]}
    assert "weights of another network" in failing(**other)
    assert "expected one of iou, dice" in failing(threshold_metric="roc")
    assert "expected one of iou, dice" in failing(threshold_metric="f1")  # no cells to find here
    assert "expected 1 (none) to 8" in failing(tta_versions=9)
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
