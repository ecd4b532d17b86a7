import json
import shutil
from pathlib import Path

import pytest
from ignite.engine import Events
from mlflow import MlflowClient

from pipeline import cli

CURVES = {f"{s}_{m}" for s in ("train", "val") for m in ("loss", "iou", "dice", "accuracy")}


@pytest.fixture
def runs(tmp_path):
    def runs():
        client = MlflowClient(f"sqlite:///{tmp_path / 'mlruns' / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("membranes")
        return client, client.search_runs([experiment.experiment_id])

    return runs


def test_a_finished_run_has_parameters_tags_curves_and_files(start, runs, tmp_path):
    start(learning_rate=0.01, tags={"paper": "ISBI\x1b[2J\u202e"}).run()
    client, (run,) = runs()
    assert run.info.status == "FINISHED"
    params = run.data.params
    assert params["network_def"] == "UNet"
    assert params["network_def.features"] == "[4, 4, 8, 8, 8]"
    assert params["optimizer"] == "Adam"
    assert params["optimizer.lr"] == params["learning_rate"] == "0.01"
    assert (params["seed"], params["batch_size"], params["device"]) == ("0", "2", "cpu")
    assert (params["patch"], params["threads"]) == ("[32, 32]", "1")
    assert params["loss"] == "BCEWithLogitsLoss"
    assert set(run.data.tags) >= {"bundle", "git_commit", "datalist_sha256", "device"}
    assert run.data.tags["paper"] == "ISBI\\x1b[2J\\u202e"
    assert run.data.metrics.keys() >= CURVES
    for name in CURVES:
        history = client.get_metric_history(run.info.run_id, name)
        assert [point.step for point in history] == [1, 2]
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert files == {"config.json", "model.pt", "model.json", "fingerprint.json", "overlay_0.png"}
    assert (tmp_path / "mlruns" / "artifacts").is_dir()


@pytest.mark.parametrize("trained_on", [".", "folds/0"])
def test_the_check_of_the_data_is_recorded(start, runs, phantom, tmp_path, trained_on):
    cohort = tmp_path / "cohort"
    shutil.copytree(phantom, cohort)
    assert cli.main(["data", "check", str(cohort)]) == 0
    assert cli.main(["data", "split", str(cohort), "--folds", "3"]) == 0
    start(dataset_dir=str(cohort / trained_on)).run()
    client, (run,) = runs()
    files = {file.path for file in client.list_artifacts(run.info.run_id, "data")}
    assert files == {"data/fingerprint.json", "data/issues.txt", "data/contact_sheet.png"}


def test_the_executed_config_holds_the_overrides(start, runs):
    start(learning_rate=0.02).run()
    client, (run,) = runs()
    config = json.loads(Path(client.download_artifacts(run.info.run_id, "config.json")).read_text())
    assert config["learning_rate"] == 0.02


@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError("boom"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_a_run_that_ends_early_says_how(start, runs, error, status):
    workflow = start()

    def fail():
        raise error

    workflow.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=2), fail)
    with pytest.raises(type(error)):
        workflow.run()
    _, (run,) = runs()
    assert run.info.status == status
    assert type(error).__name__ in run.data.tags["error"]


def test_a_failure_in_validation_counts_too(start, runs):
    workflow = start()

    def fail():
        raise RuntimeError("boom")

    workflow.evaluator.add_event_handler(Events.ITERATION_COMPLETED, fail)
    with pytest.raises(RuntimeError):
        workflow.run()
    _, (run,) = runs()
    assert run.info.status == "FAILED"


def test_a_run_after_a_failed_one_is_its_own(start, runs):
    first = start()
    first.trainer.add_event_handler(Events.EPOCH_COMPLETED(once=1), lambda: 1 / 0)
    with pytest.raises(RuntimeError):
        first.run()
    start().run()
    client, both = runs()
    assert sorted(run.info.status for run in both) == ["FAILED", "FINISHED"]
    names = {run.info.run_name for run in both}
    assert len(names) == 2
    finished = next(run for run in both if run.info.status == "FINISHED")
    assert len(client.get_metric_history(finished.info.run_id, "train_loss")) == 2


def test_bad_data_leaves_no_run(start, tmp_path):
    with pytest.raises(Exception):  # noqa: B017, PT011
        start(dataset_dir=str(tmp_path)).run()
    assert not (tmp_path / "mlruns" / "mlflow.db").exists()


def test_the_store_does_not_depend_on_the_working_directory(start, runs, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    start().run()
    runs()
    assert list(elsewhere.iterdir()) == []
