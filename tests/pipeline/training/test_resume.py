"""A resumed training takes over what it was begun with, and is finished as often as it takes."""

import json
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine, Events

from pipeline import cli
from pipeline.errors import error_line
from pipeline.states import read_state, write_state
from pipeline.tracking import Run
from pipeline.training import checkpoints
from pipeline.training.resume import KeepLast
from tests.pipeline.training.outcome import folder_of, train


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
        ({"network_def__dropout": 0.2}, "network_def#dropout: found 0.2, NAME was begun with 0.1"),
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


def test_an_edited_train_yaml_does_not_change_a_training(bundle, phantom, small, tmp_path, capsys):
    from pipeline.bundle import Bundle

    own = shutil.copytree(bundle, tmp_path / "membranes" / "configs").parent
    places = {"dataset_dir": str(phantom), "tracking_dir": str(tmp_path / "mlruns")}

    def begin(**overrides):
        workflow = Bundle(own, (), {**places, **overrides}).workflow("training")
        workflow.initialize()
        return workflow

    half = stopped(lambda **typed: begin(**small, **typed), learning_rate=0.01)
    config = own / "configs" / "train.yaml"
    text = config.read_text()
    edits = {"dropout: 0.0": "dropout: 0.3", "keys: [image, label]": "keys: [label, image]"}
    for old, new in edits.items():
        assert text.count(f"  {old}\n") + text.count(f"\n{old}\n") == 1
        text = text.replace(old, new)
    config.write_text(text.replace("training:\n", "training:\n- $print('a new step')\n"))
    capsys.readouterr()
    # one key of the network is typed again, another was edited
    features = {"network_def#features": small["network_def#features"]}
    workflow = begin(resume=str(half), **features)
    (line,) = capsys.readouterr().out.splitlines()
    taken = set(line.removeprefix("as the training was begun: ").split(", "))
    assert {"network_def", "keys", "training", "run", "learning_rate", "batch_size"} <= taken
    assert not taken & {"loss", "optimizer", "augmentation", "run_name", "output_dir", "bundle"}
    assert workflow.parser["learning_rate"] == 0.01
    assert workflow.parser["network_def#dropout"] == 0.0
    assert train(workflow) == half
    assert "a new step" not in capsys.readouterr().out


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
    line = f"{folder}: is finished and published, with {epoch} epochs; raise --patience to train on"
    assert failing(start, resume=str(folder), **settings) == line
    assert failing(start, resume=str(folder), **{**settings, "max_epochs": 60}) == line
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


def test_a_damaged_state_does_not_push_the_whole_one_out(start, capsys):
    """The damaged newest state must not push the whole one out when the next is written."""
    whole = train(start(max_epochs=3))
    half = stopped(start, after=2, max_epochs=3)
    (half / "last.pt").write_bytes(b"")
    capsys.readouterr()
    workflow = start(max_epochs=3, resume=str(half))
    states = []
    workflow.trainer.add_event_handler(
        Events.EPOCH_STARTED(once=2), lambda: states.extend(half.glob("*.pt"))
    )
    assert train(workflow) == half
    printed = capsys.readouterr().out
    assert printed.count("goes on from previous.pt, of epoch 1") == 1
    assert {path.name for path in states} == {"model.pt", "previous.pt"}
    assert parts(half) == parts(whole)
    assert read_state(half / "previous.pt")["trainer"]["epoch"] == 2


def test_a_run_is_resumed_from_within_its_folder(start, monkeypatch):
    half = stopped(start, max_epochs=2)
    monkeypatch.chdir(half)
    assert train(start(resume=".", max_epochs=2)) == half


def test_an_overlay_with_expressions_is_typed_again(start, tmp_path, capsys):
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("run_name: $'seed_' + str(@seed)\noutput_dir: $@models_dir + '/mine'\n")
    half = stopped(start, overlays=[overlay])
    assert half.name == "mine"
    capsys.readouterr()
    assert train(start(resume=str(half), overlays=[overlay])) == half
    assert "resumed with" not in capsys.readouterr().out


def test_a_resumed_training_may_belong_to_another_run(start, capsys):
    half = stopped(start, current_run__parent="1" * 32)
    capsys.readouterr()
    workflow = start(resume=str(half), current_run__parent="2" * 32)
    assert workflow.parser["current_run#parent"] == "2" * 32
    assert capsys.readouterr().out == ""
    assert start(resume=str(half)).parser["current_run#parent"] == "1" * 32


def test_a_device_that_this_machine_does_not_have(start):
    half = stopped(start)
    content = read_state(half / "last.pt")
    config = json.loads(content["run"]["config"])
    content["run"]["config"] = json.dumps({**config, "device": "cuda:99"})
    write_state(half, content)
    line = failing(start, resume=str(half))
    assert line.startswith("device: found 'cuda:99', expected cpu, or cuda")
    assert line.endswith(f"; {half.name} was begun with it, give another --device")
    assert train(start(resume=str(half), device="cpu")) == half


def test_the_error_of_another_process_than_the_first_is_raised(monkeypatch):
    monkeypatch.setattr("ignite.distributed.get_rank", lambda: 1)

    def fail(engine, batch):
        raise RuntimeError("a bug")

    engine = Engine(fail)
    KeepLast(SimpleNamespace(folder=Path("nowhere")), {}).attach(engine)
    with pytest.raises(RuntimeError, match="a bug"):
        engine.run([0])


def test_a_state_of_another_bundle_or_version(start, tmp_path):
    half = stopped(start, max_epochs=2)
    content = read_state(half / "last.pt")
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


def test_a_stopped_training_names_its_best_model_and_commands_that_use_it(
    start, phantom, tmp_path, capsys
):
    folder = stopped(start, max_epochs=3)
    lines = capsys.readouterr().err.splitlines()[-4:]
    record = json.loads((folder / "model.json").read_text())
    assert lines[0] == (
        f"stopped in epoch 2 of 3; best model so far, of epoch 1 with validation iou "
        f"{record['key_metric_value']:.4f}: {folder / 'model.pt'}"
    )
    assert lines[1].startswith("to go on from the last whole epoch: unet-school train ")
    score, segment = (shlex.split(line.partition(": ")[2])[1:] for line in lines[2:])
    places = {"DIR": str(phantom / "images"), "OUT": str(tmp_path / "out")}
    assert cli.main([*score, "--out", str(tmp_path / "eval")]) == 0
    assert cli.main([places.get(word, word) for word in segment]) == 0
    assert len(list((tmp_path / "out" / "mask").iterdir())) == 5


def test_a_training_without_a_validated_epoch_has_no_model(start, capsys):
    stopped(start, max_epochs=3, val_interval=3)
    lines = capsys.readouterr().err.splitlines()[-2:]
    assert lines[0] == "stopped in epoch 2 of 3; no epoch was validated yet, so there is no model"
    assert lines[1].startswith("to go on from the last whole epoch: ")
