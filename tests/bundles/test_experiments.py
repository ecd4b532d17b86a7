import json

import pytest
from mlflow import MlflowClient

NARROW = {"network_def#features": [2, 4, 4, 8, 8]}
SAME_NETWORK = {"crops_alone", "elastic", "border_weight_map"}
EXPERIMENTS = {
    "crops_alone": {},
    "elastic": {},
    "border_weight_map": {},
    # the smallest tile that leaves something of four poolings between valid convolutions
    "ronneberger": NARROW | {"patch": [204, 204], "window": [204, 204], "batch_size": 1},
}


def finished_runs(root):
    client = MlflowClient(tracking_uri=f"sqlite:///{root / 'mlruns' / 'mlflow.db'}")
    (experiment,) = (e for e in client.search_experiments() if e.name == "membranes")
    return client.search_runs([experiment.experiment_id], "attributes.status = 'FINISHED'")


def network_of(run):
    return {key: value for key, value in run.data.params.items() if key.startswith("network_def")}


def test_every_experiment_is_tested(bundle):
    assert {p.stem for p in (bundle / "experiments").glob("*.yaml")} == set(EXPERIMENTS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_trains_and_stands_beside_the_default(name, run_bundle, site, phantom):
    data = {"dataset_dir": str(phantom), **EXPERIMENTS[name]}
    run_bundle(site, "training", [name], **data)
    output = {"output_dir": str(site / "eval"), "tta_versions": 1}
    run_bundle(site, "evaluating", [name], **data, **output)
    assert json.loads((site / "eval" / "summary.json").read_text())["test"]["iou"]["n"] == 1

    explanation = {
        "output_dir": str(site / "why"),
        "case_settings#occlusion#size": 32,
        "latent_settings#clusters": 2,
    }
    run_bundle(site, "explaining", [name], **data, **explanation)
    assert json.loads((site / "why" / "explanation.json").read_text())["cases"]

    explanation, evaluation, experiment, default = finished_runs(site)
    trained = {name for name in experiment.data.metrics if not name.startswith("test_")}
    assert trained == default.data.metrics.keys()
    for child in (evaluation, explanation):
        assert child.data.tags["mlflow.parentRunId"] == experiment.info.run_id
    assert (network_of(experiment) == network_of(default)) == (name in SAME_NETWORK)
