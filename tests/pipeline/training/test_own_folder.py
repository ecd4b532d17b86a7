import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine, Events
from mlflow import MlflowClient

from pipeline.claims import claim, is_claimed
from pipeline.errors import error_line
from pipeline.states import read_state
from pipeline.training.own_folder import OwnFolder, state_bytes, weight_bytes


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def error(start):
    """Return a function that gives the line with which a training is refused."""

    def error(**overrides):
        with pytest.raises(Exception) as caught:  # noqa: PT011
            start(**overrides).run()
        return error_line(caught.value)

    return error


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "models" / "mine"
    return SimpleNamespace(folder=folder, claim=claim(folder), store=tmp_path / "mlruns")


def begin(run, resume=None, network=None):
    """Begin a training of a network, with nothing but the folder to take."""
    engine = Engine(lambda _engine, _batch: None)
    models = str(run.folder.parent)
    OwnFolder(run, network or torch.nn.Linear(3, 1), models, resume).attach(engine)
    engine.run([0], max_epochs=1)


def test_a_name_that_is_taken_is_refused_before_data_is_read(start, error, tmp_path):
    start(run_name="mine").run()
    before = contents(tmp_path / "models")
    folder = tmp_path / "models" / "mine"
    assert error(run_name="mine", dataset_dir=str(tmp_path)) == (
        f"{folder}: holds the last.pt of another training; go on with it by --resume {folder}, or "
        "give another --run_name"
    )
    assert contents(tmp_path / "models") == before


def test_a_run_goes_on_in_its_own_folder(start, tmp_path):
    start(run_name="mine").run()
    last = tmp_path / "models" / "mine" / "last.pt"
    start(run_name="mine", resume=str(last), max_epochs=3).run()


@pytest.mark.parametrize("name", ["last.pt", "previous.pt", "model.pt"])
def test_what_another_training_left_is_not_overwritten(run, name):
    run.folder.mkdir(parents=True)
    (run.folder / name).write_bytes(b"precious")
    with pytest.raises(ValueError, match=f"holds the {name} of another training"):
        begin(run)
    with pytest.raises(ValueError, match="of another training"):
        begin(run, resume=str(run.folder.parent / "other" / "last.pt"))
    begin(run, resume=str(run.folder / name))
    begin(run, resume=str(run.folder))


def test_a_folder_that_is_being_written_is_refused(start, error, tmp_path):
    folder = tmp_path / "models" / "mine"
    with claim(folder):
        line = error(run_name="mine")
    assert line.startswith(f"{folder}: is being written by process ")
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlruns' / 'mlflow.db'}")
    experiments = [one.experiment_id for one in client.search_experiments()]
    assert list(client.search_runs(experiments)) == []
    assert not folder.exists()
    start(run_name="mine").run()


def test_a_training_holds_its_folder_until_it_ends(start, tmp_path):
    folder, held = tmp_path / "models" / "mine", []
    workflow = start(run_name="mine")
    workflow.trainer.add_event_handler(
        Events.EPOCH_COMPLETED, lambda: held.append(is_claimed(folder))
    )
    workflow.run()
    assert held == [True, True]
    assert not is_claimed(folder)
    assert [path.name for path in folder.parent.glob(".*")] == []


def test_a_training_that_fails_gives_its_folder_up(start, tmp_path):
    workflow = start(run_name="mine")
    workflow.trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: 1 / 0)
    with pytest.raises(RuntimeError):
        workflow.run()
    assert not is_claimed(tmp_path / "models" / "mine")


@pytest.mark.parametrize("key", ["models_dir", "output_dir", "tracking_dir"])
def test_a_place_that_cannot_be_written_is_named_with_the_systems_reason(error, tmp_path, key):
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "inside"
    line = error(**{key: str(place), "dataset_dir": str(tmp_path)})  # no data is read before
    assert line.startswith(f"{place}")
    assert "cannot be written (Not a directory); make it writable, or give another --" in line


@pytest.mark.parametrize("free", [0, 100])
def test_room_is_compared_before_the_first_step(run, monkeypatch, free):
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=free))
    with pytest.raises(ValueError, match="found room") as error:
        begin(run)
    assert str(error.value).startswith(f"{run.folder}: ")
    assert str(error.value).endswith(
        "expected 0.00 MB for the states and the best model of this training; make room, or give "
        "another --models_dir"
    )


def test_room_for_the_model_in_the_tracking_store(run, monkeypatch):
    def room(folder):
        return SimpleNamespace(free=0 if folder == run.store else 10**9)

    run.store.mkdir()
    monkeypatch.setattr(shutil, "disk_usage", room)
    with pytest.raises(ValueError, match="for the model as an artefact; make room") as error:
        begin(run)
    assert str(error.value).startswith(f"{run.store}: found room for 0.00 MB")
    assert str(error.value).endswith("give another --tracking_dir")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:1")
    begin(run)


def test_a_resumed_run_needs_no_room_for_what_it_replaces(run, monkeypatch):
    network = torch.nn.Linear(100, 100)
    needed = 3 * state_bytes(network) + 2 * weight_bytes(network)
    run.folder.mkdir(parents=True)
    (run.folder / "last.pt").write_bytes(bytes(needed // 2))
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=needed // 2 + 1))
    begin(run, resume=str(run.folder), network=network)


def test_the_states_of_a_training_are_as_large_as_expected(start, tmp_path):
    workflow = start(run_name="mine")
    workflow.run()
    state = tmp_path / "models" / "mine" / "last.pt"
    config = len(read_state(state)["run"]["config"])
    expected, written = state_bytes(workflow.trainer.network), state.stat().st_size - config
    assert expected == pytest.approx(written, rel=0.5)  # names and numbers weigh in a small one


def test_two_trainings_that_end_at_once_do_not_mix_what_they_publish(
    start, error, tmp_path, monkeypatch
):
    monkeypatch.setattr("pipeline.training.checkpoints.MODEL_WAIT_SECONDS", 0)
    model = tmp_path / "models" / "model.pt"
    with claim(model):
        assert error(run_name="mine").startswith(f"{model}: is being written by process ")
    assert not model.exists()
    start(run_name="other").run()
    assert model.is_file()
