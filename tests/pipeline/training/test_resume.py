"""A resumed training takes over what it was begun with, and is finished as often as it takes."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from ignite.engine import Events

from pipeline.errors import error_line
from pipeline.states import read_state
from pipeline.tracking import Run
from pipeline.training import checkpoints


def folder_of(workflow):
    return Path(workflow.parser.get_parsed_content("output_dir"))


def train(workflow):
    workflow.run()
    return folder_of(workflow)


def stopped(start, after=1, **overrides):
    """Train, and stop after some epochs, as a person would; return the run's folder."""
    workflow = start(**overrides)

    def interrupt():
        raise KeyboardInterrupt

    event = Events.ITERATION_COMPLETED(once=2 * after + 1)
    workflow.trainer.add_event_handler(event, interrupt)
    with pytest.raises(KeyboardInterrupt):
        workflow.run()
    return folder_of(workflow)


def parts(folder):
    state = read_state(folder / "last.pt")
    return str([state[name] for name in ("network", "optimizer", "lr_scheduler", "trainer")])


def rate_of(engine):
    return engine.optimizer.param_groups[0]["lr"]


def failing(start, **overrides):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        start(**overrides).run()
    return error_line(caught.value)


@pytest.fixture
def bare(bundle, small, tmp_path):
    """Return a function that resumes by the name of the run and nothing else."""
    from pipeline.bundle import Bundle

    def resume(folder, **overrides):
        workflow = Bundle(bundle.parent, (), {"resume": str(folder), **overrides}).workflow(
            "training"
        )
        workflow.initialize()
        return workflow

    return resume


SETTINGS = {"learning_rate": 0.01, "network_def__dropout": 0.1, "max_epochs": 3, "seed": 4}


def test_the_folder_alone_restores_all_that_it_was_begun_with(start, bare, capsys):
    whole = train(start(**SETTINGS))
    half = stopped(start, **SETTINGS)
    capsys.readouterr()
    workflow = bare(half)
    printed = capsys.readouterr().out
    assert printed.startswith("as the training was begun: ")
    assert "learning_rate" in printed
    assert "network_def" in printed
    assert workflow.parser["run_name"] == half.name
    assert torch.initial_seed() == 4
    assert train(workflow) == half
    assert parts(half) == parts(whole)


def test_a_run_is_named_as_the_ui_shows_it(start, tmp_path):
    half = stopped(start, max_epochs=2)
    assert train(start(resume=half.name, max_epochs=2)) == half
    (tmp_path / "models" / "other").mkdir()
    line = failing(start, resume=half.name[:-1])
    assert line.endswith(f"; did you mean '{half.name}'?")


def test_what_is_typed_again_alike_is_accepted_without_a_word(start, capsys):
    half = stopped(start, **SETTINGS)
    capsys.readouterr()
    start(resume=str(half), **SETTINGS)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ({"learning_rate": 1e-4}, "learning_rate: found 0.0001, NAME was begun with 0.01; leave"),
        ({"network_def__dropout": 0.2}, "network_def: found "),
        ({"batch_size": 4}, "batch_size: found 4, NAME was begun with 2; leave it out, or begin"),
        ({"key_metric": "dice"}, "key_metric: found dice, NAME was begun with iou; leave it out"),
        ({"patch": [64, 64]}, "patch: found [64, 64], NAME was begun with [32, 32]; leave it out"),
        ({"seed": 9}, "seed: found 9, NAME was begun with 4; leave it out, or begin a new"),
        ({"run_name": "another"}, "run_name: found another, NAME was begun with NAME; leave"),
        (
            {"lr_scheduler": {"_target_": "torch.optim.lr_scheduler.StepLR", "step_size": 1,
                              "optimizer": "@optimizer"}},
            "lr_scheduler: found ",
        ),
    ],
)  # fmt: skip
def test_what_may_not_change_is_refused_in_one_line(start, typed, line):
    half = stopped(start, **SETTINGS)
    settings = {**SETTINGS, **typed}
    assert failing(start, resume=str(half), **settings).startswith(line.replace("NAME", half.name))


def test_what_may_change_is_named(start, capsys, tmp_path):
    half = stopped(start, **SETTINGS)
    capsys.readouterr()
    more = {**SETTINGS, "max_epochs": 4, "patience": 7, "tracking_dir": str(tmp_path / "other")}
    start(resume=str(half), **more)
    assert capsys.readouterr().out.splitlines() == [
        "resumed with max_epochs 4, begun with 3",
        "resumed with patience 7, begun with 0",
        f"resumed with tracking_dir {tmp_path / 'other'}, begun with {tmp_path / 'mlruns'}",
    ]


def test_an_overlay_that_the_training_was_not_begun_with_is_refused(start):
    half = stopped(start, max_epochs=2)
    line = failing(start, resume=str(half), max_epochs=2, overlays=["unetpp"])
    assert line.startswith("loss: found {")


def test_an_edited_train_yaml_does_not_change_a_training(bundle, start, phantom, small, tmp_path):
    from pipeline.bundle import Bundle

    own = shutil.copytree(bundle, tmp_path / "membranes" / "configs").parent
    places = {"dataset_dir": str(phantom), "tracking_dir": str(tmp_path / "mlruns")}

    def begin(**overrides):
        workflow = Bundle(own, (), {**places, **overrides}).workflow("training")
        workflow.initialize()
        return workflow

    half = stopped(lambda **typed: begin(**small, **typed), learning_rate=0.01)
    config = own / "configs" / "train.yaml"
    config.write_text(config.read_text().replace("threshold: null", "threshold: 0.4"))
    edited = yaml.safe_load(config.read_text())
    config.write_text(config.read_text().replace("val_interval: 2 ", "val_interval: 1 "))
    assert edited["val_interval"] == 2
    workflow = begin(resume=str(half))
    assert workflow.parser["learning_rate"] == 0.01
    assert train(workflow) == half


def test_a_longer_training_has_the_rates_of_one_that_was_begun_so_long(start):
    def rates(workflow):
        seen = {}
        workflow.trainer.add_event_handler(
            Events.EPOCH_STARTED,
            lambda engine: seen.update({engine.state.epoch: rate_of(engine)}),
        )
        workflow.run()
        return seen

    whole = rates(start(max_epochs=5, learning_rate=0.01))
    short = train(start(max_epochs=2, learning_rate=0.01))
    longer = rates(start(max_epochs=5, learning_rate=0.01, resume=str(short)))
    assert longer == {epoch: whole[epoch] for epoch in (3, 4, 5)}
    assert min(longer.values()) > 0


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (checkpoints, "_copy_model"),
        (Run, "log_artifact"),
    ],
)
def test_a_training_that_dies_after_its_last_epoch_is_finished_by_resuming(
    start, place, name, monkeypatch, tmp_path
):
    whole = train(start(max_epochs=2, run_name="whole"))

    def die(*arguments, **options):
        raise OSError(28, "No space left on device", "model.pt")

    workflow = start(max_epochs=2, run_name="died")
    # what dies is past the last epoch; before it everything works
    workflow.trainer.add_event_handler(
        Events.EPOCH_COMPLETED(once=2), lambda: monkeypatch.setattr(place, name, die)
    )
    with pytest.raises(Exception) as caught:  # noqa: PT011
        workflow.run()
    assert error_line(caught.value) == "model.pt: No space left on device"
    folder = folder_of(workflow)
    assert not (folder / "finished.json").exists()
    monkeypatch.undo()

    steps = []
    workflow = start(max_epochs=2, resume=str(folder))
    workflow.trainer.add_event_handler(Events.ITERATION_STARTED, lambda: steps.append(1))
    assert train(workflow) == folder
    assert steps == []
    assert parts(folder) == parts(whole)
    published = json.loads((tmp_path / "models" / "model.json").read_text())
    assert published["run_name"] == "died"
    done = json.loads((folder / "finished.json").read_text())
    assert done["epochs"] == 2
    assert done["published_to"] == str(tmp_path / "models")
    assert failing(start, max_epochs=2, resume=str(folder)).startswith(
        f"{folder}: is finished and published, with 2 epochs; raise --max_epochs"
    )


def test_a_training_that_stopped_early_is_over_and_goes_on_with_more_patience(start):
    settings = {"max_epochs": 50, "patience": 2, "learning_rate": 0.0}
    folder = train(start(**settings))
    epoch = read_state(folder / "last.pt")["trainer"]["epoch"]
    assert epoch < 50
    assert "and --patience, by which it stopped" in failing(start, resume=str(folder), **settings)
    (folder / "finished.json").unlink()  # as if it had died in publishing
    assert train(start(resume=str(folder), **settings)) == folder
    assert read_state(folder / "last.pt")["trainer"]["epoch"] == epoch
    train(start(resume=str(folder), **{**settings, "patience": 4}))
    assert read_state(folder / "last.pt")["trainer"]["epoch"] == epoch + 2


def test_every_error_after_a_state_says_how_to_go_on(start, capsys, monkeypatch):
    workflow = start(max_epochs=3)

    def fail():
        raise RuntimeError("a bug")

    workflow.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=3), fail)
    with pytest.raises(RuntimeError):
        workflow.run()
    folder = folder_of(workflow)
    assert f"unet-school train bundles/membranes --resume {folder}\n" in capsys.readouterr().err


def test_a_state_of_another_bundle_or_version(start, tmp_path):
    half = stopped(start, max_epochs=2)
    content = read_state(half / "last.pt")
    from pipeline.states import write_state

    config = json.loads(content["run"]["config"])
    content["run"]["config"] = json.dumps({**config, "bundle": "nuclei"})
    write_state(half, content)
    assert "a training of nuclei, not of membranes" in failing(start, resume=str(half))
    del content["run"]["config"]
    write_state(half, content)
    assert "does not say what the training was begun with" in failing(start, resume=str(half))


def test_a_folder_of_models_that_was_moved(start, tmp_path):
    whole = train(start(max_epochs=2))
    half = stopped(start, max_epochs=2)
    moved = tmp_path / "moved"
    shutil.move(tmp_path / "models", moved)
    settings = {"models_dir": str(moved), "max_epochs": 2}
    assert train(start(resume=half.name, **settings)) == moved / half.name
    assert parts(moved / half.name) == parts(moved / whole.name)
    assert json.loads((moved / "model.json").read_text())["run_name"] == half.name
