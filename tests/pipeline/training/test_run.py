import json
import shutil
from pathlib import Path

import pytest
from ignite.engine import Events
from PIL import Image

from pipeline.data import image_hashes, read_datalist, write_datalist
from pipeline.data.phantom import write_cells
from pipeline.errors import error_line
from pipeline.inference.trained_model import read_checkpoint
from pipeline.states import read_state, write_state
from tests.pipeline.training.outcome import equal, train, weights


def test_the_bundle_has_every_property_that_monai_looks_up(start):
    assert start().check_properties() == []


def test_a_training_leaves_a_model_its_record_and_pictures(start, tmp_path):
    folder = train(start())
    assert {p.name for p in folder.iterdir()} == {
        "fingerprint.json", "model.pt", "model.json", "last.pt", "previous.pt", "finished.json",
        "metrics.jsonl", "overlay_0.png",
    }  # fmt: skip
    record = json.loads((tmp_path / "models" / "model.json").read_text())
    assert record["bundle"] == "membranes"
    assert record["epoch"] in (1, 2)
    published = read_checkpoint(tmp_path / "models" / "model.pt")
    assert equal(published, read_checkpoint(folder / "model.pt"))


def test_the_same_seed_gives_the_same_weights(start):
    assert equal(weights(train(start(seed=1))), weights(train(start(seed=1))))


def test_another_seed_gives_others(start):
    assert not equal(weights(train(start(seed=1))), weights(train(start(seed=2))))


def test_a_resumed_training_equals_an_uninterrupted_one(start):
    whole = train(start(max_epochs=3))

    interrupted = start(max_epochs=3)
    trainer = interrupted.trainer

    def interrupt():
        raise KeyboardInterrupt

    # in the middle of epoch 3: steps 5 and 6 belong to it
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=5), interrupt)
    with pytest.raises(KeyboardInterrupt):
        interrupted.run()
    half = Path(interrupted.parser.get_parsed_content("output_dir"))
    assert read_checkpoint(half / "last.pt")["trainer"]["epoch"] == 2

    resumed = train(start(max_epochs=3, resume=str(half / "last.pt")))
    for name in ("network", "optimizer", "lr_scheduler", "trainer"):
        first, second = (read_checkpoint(f / "last.pt")[name] for f in (whole, resumed))
        assert str(first) == str(second)
    assert equal(weights(whole), weights(resumed))


def test_resume_of_an_early_best_keeps_its_model(start):
    first = start(max_epochs=1)
    folder = train(first)
    # no later epoch beats an IoU of 2, so the best model is still the first run's
    content = read_state(folder / "last.pt")
    content["trainer"]["best_score"] = 2.0
    write_state(folder, content)
    best = read_checkpoint(folder / "model.pt")
    resumed = train(start(max_epochs=2, resume=str(folder / "last.pt")))
    assert resumed == folder
    assert equal(read_checkpoint(folder / "model.pt"), best)


def test_early_stopping(start):
    workflow = start(max_epochs=50, patience=2, learning_rate=0.0)
    train(workflow)
    # weights never change, running statistics do: the best comes early and training ends soon after
    assert workflow.trainer.state.epoch < 50


def test_the_best_epoch_by_loss(start):
    workflow = start(key_metric="loss")
    record = json.loads((train(workflow) / "model.json").read_text())
    assert record["key_metric"] == "loss"


def failing(start, **overrides):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        start(**overrides).run()
    return error_line(caught.value)


def test_an_unknown_key_metric(start):
    line = failing(start, key_metric="jaccard")
    assert line == "key_metric: found 'jaccard', expected one of loss, iou, dice, accuracy"


def test_a_training_without_a_validation(start):
    line = failing(start, max_epochs=1, val_interval=2)
    assert line.startswith("val_interval: no validation in 1 epochs")


def test_a_loss_that_is_no_number_stops_the_run(start):
    line = failing(start, learning_rate=1e30, max_epochs=5)
    assert line.startswith("the loss is ")
    assert "lower --learning_rate" in line


def test_resuming_with_another_seed_network_or_file(start, tmp_path):
    last = str(train(start(seed=1)) / "last.pt")
    line = failing(start, seed=2, resume=last, max_epochs=3)
    assert line.startswith("seed: found 2, unet-")
    assert "was begun with 1; leave it out" in line
    assert "is finished and published, with 2 epochs" in failing(start, seed=1, resume=last)
    write_cells(tmp_path / "other", count=5, size=64, seed=8)
    data = {"dataset_dir": str(tmp_path / "other")}
    line = failing(start, seed=1, resume=last, max_epochs=3, **data)
    assert "was trained on another cohort or split" in line
    other = {"network_def__features": [4, 4, 8, 8, 16]}
    line = failing(start, seed=1, resume=last, max_epochs=3, **other)
    assert line.startswith("network_def#features: found [4, 4, 8, 8, 16], ")
    model = str(tmp_path / "models" / "model.pt")
    assert "of an older version, or not a last.pt" in failing(start, resume=model, max_epochs=3)
    line = failing(start, resume="2026-01-01_gone")
    assert line.startswith("--resume 2026-01-01_gone: no such run in ")


def test_a_training_resumes_on_the_same_pixels_in_other_files(start, phantom, tmp_path):
    last = str(train(start(max_epochs=1)) / "last.pt")
    cohort = shutil.copytree(phantom, tmp_path / "again")
    for path in cohort.rglob("*.png"):
        with Image.open(path) as image:
            image.load()
        image.save(path, compress_level=9)
    datalist = read_datalist(cohort)
    splits = {name: [e.unhashed() for e in entries] for name, entries in datalist.splits.items()}
    write_datalist(cohort, splits, **datalist.description)
    whole = weights(train(start()))
    assert equal(weights(train(start(resume=last, dataset_dir=str(cohort)))), whole)


def test_a_record_names_the_images_by_their_values(start, phantom, tmp_path):
    train(start())
    record = json.loads((tmp_path / "models" / "model.json").read_text())
    assert record["hashes"] == ["values"]
    assert record["trained_on"] == sorted(image_hashes(str(phantom), "training"))
    assert record["chosen_on"] == sorted(image_hashes(str(phantom), "validation"))


def test_no_such_folder(start, tmp_path):
    assert "no such folder" in failing(start, dataset_dir=str(tmp_path / "nowhere"))
