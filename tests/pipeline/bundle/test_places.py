import shutil
from types import SimpleNamespace

import pytest
from monai.bundle import ConfigParser

from pipeline.bundle.places import check_places, run_kind


@pytest.fixture
def workflow(tmp_path):
    """Return a function that makes a workflow whose places can be written, but for one."""

    def workflow(run_id, unwritable=None, **config):
        (tmp_path / "file").touch()
        names = ("output_dir", "models_dir", "tracking_dir")
        places = {name: str(tmp_path / name) for name in names}
        places["model"] = "$@models_dir + '/model.pt'"
        if unwritable:
            places[unwritable] = str(tmp_path / "file" / "inside" / "name")
        return SimpleNamespace(run_id=run_id, parser=ConfigParser({**places, **config}))

    return workflow


@pytest.mark.parametrize(
    ("run", "key"),
    [
        ("training", "output_dir"),
        ("training", "models_dir"),
        ("training", "tracking_dir"),
        ("evaluating", "output_dir"),
        ("evaluating", "tracking_dir"),
        ("evaluating", "model"),
        ("inferring", "output_dir"),
        ("explaining", "output_dir"),
        ("explaining", "tracking_dir"),
    ],
)
def test_what_a_run_writes_to_is_tried(workflow, run, key):
    check_places(workflow(run))
    with pytest.raises(OSError, match=f"cannot be written .* give another --{key}$"):
        check_places(workflow(run, key))


@pytest.mark.parametrize("key", ["models_dir", "tracking_dir", "model"])
def test_what_an_inference_only_reads_is_not_tried(workflow, key):
    check_places(workflow("inferring", key))


def test_a_tracking_server_needs_no_folder(workflow, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:1")
    check_places(workflow("training", "tracking_dir"))


@pytest.mark.parametrize("run", ["training", "evaluating", "explaining"])
def test_a_tracking_store_without_room_is_refused(workflow, tmp_path, monkeypatch, run):
    (tmp_path / "tracking_dir").mkdir()

    def room(folder):
        return SimpleNamespace(free=10**6 if folder.name == "tracking_dir" else 10**9)

    monkeypatch.setattr(shutil, "disk_usage", room)
    with pytest.raises(ValueError, match=r"tracking_dir: found room for 1\.00 MB, expected 5"):
        check_places(workflow(run))
    check_places(workflow("inferring"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:1")
    check_places(workflow(run))


def test_a_model_of_another_training_is_refused_in_a_training_alone(workflow, tmp_path):
    (tmp_path / "output_dir").mkdir()
    (tmp_path / "output_dir" / "model.pt").touch()
    check_places(workflow("evaluating"))
    with pytest.raises(ValueError, match=r"holds the model\.pt of another training"):
        check_places(workflow("training"))
    check_places(workflow("training", resume=str(tmp_path / "output_dir" / "last.pt")))


def test_the_run_called_run_is_that_of_the_last_overlay(workflow):
    training, evaluating = ["$@trainer.run()"], ["$@evaluator.run()"]
    assert run_kind(workflow("run", training=training, run=training)) == "training"
    both = {"training": training, "evaluating": evaluating}
    assert run_kind(workflow("run", **both, run=evaluating)) == "evaluating"
    assert run_kind(workflow("run", run=["$1"])) == ""
    assert run_kind(workflow("inferring")) == "inferring"
