"""What a training and its evaluation leave in the store, beside parameters and curves."""

from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipeline.errors import error_line
from pipeline.tracking import training_scores
from pipeline.tracking.datasets import DIGEST_CHARACTERS
from pipeline.tracking.description import NOTE
from pipeline.training import track_training


@pytest.fixture
def stored(tmp_path):
    """Return a function that returns the store and its runs by their kind."""

    def stored():
        client = MlflowClient(f"sqlite:///{tmp_path / 'mlruns' / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("membranes").experiment_id
        return client, {run.data.tags["run"]: run for run in client.search_runs([experiment])}

    return stored


def test_a_training_has_its_cohort_its_model_and_its_scores(start, stored):
    start(max_epochs=1).run()
    start("evaluating").run()
    client, runs = stored()
    training, evaluation = runs["training"], runs["evaluating"]
    inputs = training.inputs.dataset_inputs
    assert sorted(one.tags[0].value for one in inputs) == ["training", "validation"]
    digest = training.data.tags["datalist_sha256"][:DIGEST_CHARACTERS]
    assert {one.dataset.digest for one in inputs} == {digest}
    assert training.data.metrics["parameters"] > 0
    for name, value in evaluation.data.metrics.items():
        if name.startswith("test_"):
            assert training.data.metrics[name] == value
    (output,) = training.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    of_data = {(one.dataset_name.split()[-1], one.key) for one in model.metrics}
    assert of_data >= {
        ("training", "train_loss"),
        ("validation", "val_dice"),
        ("test", "test_dice"),
    }
    note = training.data.tags[NOTE]
    assert "python -m monai.bundle run training --config_file" in note
    assert f"runs/{evaluation.info.run_id}/artifacts/report.html" in note
    assert len(client.get_metric_history(training.info.run_id, "val_dice")) == 1
    champion = client.get_model_version_by_alias("membranes", "champion")
    assert champion.run_id == training.info.run_id
    uri = client.get_model_version_download_uri("membranes", "1")
    assert Path(uri.removeprefix("file://")).is_file()


def test_a_training_below_another_run_is_no_champion(start, stored):
    workflow = start(max_epochs=1)
    workflow.parser["current_run"]["parent"] = "0" * 32
    workflow.run()
    client, _ = stored()
    assert client.search_registered_models() == []


def fail(*_, **__):
    raise MlflowException("away")


def test_a_training_outlives_a_store_that_refuses_its_model(start, stored, monkeypatch, capsys):
    monkeypatch.setattr(track_training, "log_best_model", fail)
    workflow = start(max_epochs=1)
    workflow.run()
    assert "the training is whole, its record is not" in capsys.readouterr().err
    monkeypatch.undo()
    folder = workflow.parser.get_parsed_content("current_run").folder
    start(max_epochs=1, resume=str(folder / "last.pt"), run_name=folder.name).run()
    _, runs = stored()
    assert runs["training"].info.status == "FINISHED"
    assert len(runs["training"].outputs.model_outputs) == 1


def test_a_training_is_recorded_where_the_registry_fails(start, stored, monkeypatch, capsys):
    monkeypatch.setattr(track_training, "name_champion", fail)
    workflow = start(max_epochs=1)
    workflow.run()
    assert "the alias champion still names the model before it" in capsys.readouterr().err
    assert workflow.parser.get_parsed_content("current_run").is_recorded


def test_an_evaluation_says_that_its_training_did_not_get_the_scores(start, monkeypatch, tmp_path):
    start(max_epochs=1).run()
    monkeypatch.setattr(training_scores, "log_test_metrics", fail)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - MONAI wraps what its runs raise
        start("evaluating", output_dir=str(tmp_path / "e")).run()
    assert "what was computed is in" in error_line(caught.value)
    assert (tmp_path / "e" / "report.html").is_file()
