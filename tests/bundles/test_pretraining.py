"""A bundle pretrained on images alone, and the training from labels that begins with it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from pipeline import cli
from pipeline.bundle import Bundle
from pipeline.data.datalist import image_hashes
from pipeline.data.phantom import write_cells
from pipeline.errors import error_line
from pipeline.inference.trained_model import TrainedModel, read_checkpoint, read_record
from pipeline.networks import UNet
from pipeline.pretraining.mean_filling import MEAN_LOSS
from pipeline.tracking.metric_log import MetricLog

OVERLAY = "pretraining/masked_images"


@pytest.fixture(scope="module")
def further(tmp_path_factory) -> Path:
    """Four images that the cohort has not."""
    folder = tmp_path_factory.mktemp("further")
    write_cells(folder, count=4, size=64, seed=11)
    return folder / "images"


@pytest.fixture(scope="module")
def pretrained(run_bundle, phantom, further, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("pretrained")
    images = {"dataset_dir": str(phantom), "unlabelled_dir": str(further)}
    run_bundle(root, "training", [OVERLAY], run_name="first", **images)
    return root


@pytest.fixture
def model(pretrained) -> Path:
    return pretrained / "models" / "pretrained" / "model.pt"


def test_the_model_names_the_images_and_has_no_output(model, phantom):
    record, weights = read_record(model), read_checkpoint(model)
    assert set(record.output_weights) == {"head.0.weight", "head.0.bias"}
    assert not set(record.output_weights) & set(weights)
    training, test = (set(image_hashes(str(phantom), split)) for split in ("training", "test"))
    assert training < set(record.trained_on)
    assert len(record.trained_on) == len(training) + 4
    assert not test & {*record.trained_on, *record.chosen_on}
    assert (record.key_metric, record.bundle) == ("loss", "membranes")


def test_it_is_no_model_of_the_bundle(model, pretrained, error_of, bundle):
    assert not (pretrained / "models" / "model.pt").exists()
    with pytest.raises(ValueError, match="was pretrained on images alone and knows no label; tra"):
        TrainedModel(model)
    settings = {"tracking_dir": str(pretrained / "mlruns")}
    line = error_of(lambda: TrainedModel.load(bundle.parent, "first", overrides=settings))
    assert line.startswith("first: learnt from images alone and knows no label; train with it by")


def test_every_epoch_is_measured_and_only_by_its_loss(pretrained):
    folder = pretrained / "models" / "first"
    for epoch in MetricLog(folder).read():
        assert {"train_loss", "val_loss", f"val_{MEAN_LOSS}"} <= epoch.metrics.keys()
        assert not {"val_dice", "train_iou"} & epoch.metrics.keys()
    assert len(json.loads((folder / "unlabelled.json").read_text())) == 7
    assert not list(folder.glob("overlay_*.png"))


def test_a_training_begins_with_it_and_has_an_output_of_its_own(
    run_bundle, model, phantom, tmp_path, capsys
):
    still = {"learning_rate": 0.0, "max_epochs": 1, "dataset_dir": str(phantom)}
    run_bundle(tmp_path, "training", init_from=str(model), run_name="tuned", **still)
    before, after = read_checkpoint(model), read_checkpoint(tmp_path / "models" / "model.pt")
    learnt = [name for name in before if "running" not in name and "batches" not in name]
    assert len(learnt) > 20
    assert all(torch.equal(before[name], after[name]) for name in learnt)
    assert after.keys() - before.keys() == {"head.0.weight", "head.0.bias"}
    assert set(read_record(model).trained_on) <= set(
        read_record(tmp_path / "models" / "model.pt").trained_on
    )
    assert not (tmp_path / "models" / "tuned" / "fine_tuning.json").exists()  # nothing to compare


def test_the_heads_are_new_though_labels_and_channels_are_as_many(bundle, small, model):
    """One label and one grey value: no shape would tell the head of one from that of the other."""
    overrides = {**small, "init_from": str(model)}
    networks = [
        Bundle(bundle.parent, (), {**overrides, **more}).parser("training") for more in ({}, {})
    ]
    torch.manual_seed(0)
    drawn = networks[0].get_parsed_content("network_def").state_dict()
    torch.manual_seed(0)
    begun = networks[1].get_parsed_content("network").state_dict()
    assert torch.equal(begun["head.0.weight"], drawn["head.0.weight"])
    kernel = next(name for name in drawn if name.startswith("encoder.0") and "weight" in name)
    assert not torch.equal(begun[kernel], drawn[kernel])


def test_a_cohort_whose_test_image_was_learnt_from_is_refused(
    run_bundle, model, phantom, further, tmp_path, error_of
):
    cohort = tmp_path / "cohort"
    shutil.copytree(phantom, cohort)
    for folder in ("images", "labels", "instances"):
        if (further.parent / folder).is_dir():
            shutil.copytree(further.parent / folder, cohort / folder, dirs_exist_ok=True)
    shutil.copy(further.parent / "datalist.json", cohort)  # another split: they are its test images
    line = error_of(
        run_bundle, root=tmp_path, run_id="training", init_from=str(model), dataset_dir=str(cohort)
    )
    assert "of the test split, and the model was trained on it" in line


def test_a_reference_cohort_has_nothing_to_say_of_it(
    run_bundle, model, phantom, further, tmp_path, error_of
):
    line = error_of(
        run_bundle, root=tmp_path, run_id="training", init_from=str(model),
        dataset_dir=str(phantom), reference_dir=str(phantom),
    )  # fmt: skip
    assert line.startswith(f"reference_dir: {model} was pretrained on images alone")


@pytest.fixture
def pretrain(bundle, small, phantom, further, tmp_path):
    def pretrain(**overrides):
        settings = {
            "models_dir": str(tmp_path / "models"),
            "tracking_dir": str(tmp_path / "mlruns"),
            "dataset_dir": str(phantom),
            "unlabelled_dir": str(further),
            "learning_rate": 0.01,
            **small,
            **overrides,
        }
        return Bundle(bundle.parent, [OVERLAY], settings)

    return pretrain


def test_a_resumed_one_ends_as_one_that_was_not_interrupted(pretrain, bundle, tmp_path):
    pretrain(run_name="whole", max_epochs=3).run("training")
    pretrain(run_name="half", max_epochs=1).run("training")
    resumed = {"resume": str(tmp_path / "models" / "half"), "max_epochs": 3}
    Bundle(bundle.parent, (), resumed).run("training")
    whole, half = (
        torch.load(tmp_path / "models" / name / "last.pt", weights_only=True)["network"]
        for name in ("whole", "half")
    )
    assert all(torch.equal(whole[name], half[name]) for name in whole)


def test_one_is_not_resumed_with_other_images(pretrain, bundle, further, tmp_path):
    folder = tmp_path / "images"
    shutil.copytree(further, folder)
    pretrain(run_name="half", unlabelled_dir=str(folder), max_epochs=1).run("training")
    first, *_ = sorted(folder.iterdir())
    Image.fromarray(255 - np.asarray(Image.open(first))).save(first)
    resumed = {"resume": str(tmp_path / "models" / "half"), "max_epochs": 2}
    with pytest.raises(Exception) as caught:  # noqa: PT011 - MONAI wraps what its runs raise
        Bundle(bundle.parent, (), resumed).run("training")
    line = error_line(caught.value)
    assert "1 of the images that it was begun with are gone or changed, and 1 are new" in line


def test_a_network_that_locates_first_is_refused(pretrain, tmp_path, error_of):
    located = tmp_path / "locate.yaml"
    part = "{_target_: pipeline.networks.UNet, spatial_dims: 2, in_channels: 1, out_channels: 1}"
    located.write_text(
        "network_def: {_target_: pipeline.networks.LocatedNetwork, box: [16, 16], reduction: 2, "
        f"locator: {part}, segmenter: {part}}}\n"
    )
    own = pretrain()
    settings = {key: value for key, value in own.overrides.items() if "features" not in key}
    line = error_of(Bundle(own.folder, [located, OVERLAY], settings).run, run="training")
    assert line.startswith("network_def: LocatedNetwork has no out_channels, so that it cannot")


def test_a_network_of_unpadded_convolutions_is_refused(pretrain, error_of):
    line = error_of(pretrain(**{"network_def#padding": "valid"}).run, run="training")
    assert line.startswith("network_def#padding: found valid, whose output is smaller")


def test_the_command_says_what_follows(pretrain, bundle, phantom, further, capsys):
    settings = [
        f"{key}={value}"
        for key, value in pretrain().overrides.items()
        if key not in ("dataset_dir", "unlabelled_dir")
    ]
    call = ["pretrain", str(bundle.parent), "--data", str(phantom), "--images", str(further)]
    assert cli.main([*call, "--set", *settings, "run_name=typed"]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("next        unet-school train ")
    assert "init_from=" in last
    assert "'network_def#features=[4, 4, 8, 8, 8]'" in last


def test_a_folder_that_is_not_there_stops_it(pretrain, error_of):
    line = error_of(pretrain(unlabelled_dir="/no/such").run, run="training")
    assert line == "--images /no/such: no such folder; give a folder of images"


@pytest.fixture(scope="module")
def membranes(real_data, tmp_path_factory) -> Path:
    """Eight quarters of real slices; two of them test, two validate."""
    source = tmp_path_factory.mktemp("isbi")
    for kind, name in (("images", "train-volume.tif"), ("masks", "train-labels.tif")):
        (source / kind).mkdir()
        pages = tifffile.imread(real_data / "isbi2012" / name)[::4]
        for i, page in enumerate(pages):
            Image.fromarray(page[128:384, 128:384]).save(source / kind / f"s{i}.png")
    call = ["--images", str(source / "images"), "--masks", str(source / "masks")]
    assert cli.main(["data", "prepare", "folder", *call, "--out", str(source / "cohort")]) == 0
    return source / "cohort"


def test_real_images_teach_more_than_their_mean(pretrain, membranes, tmp_path):
    settings = {
        "dataset_dir": str(membranes), "unlabelled_dir": None, "run_name": "learns", "threads": 1,
        "network_def#features": [8, 16, 16], "patch": [64, 64], "window": [128, 128],
        "batch_size": 8, "steps_per_epoch": 40, "max_epochs": 1, "seed": 0,
    }  # fmt: skip
    pretrain(**settings).run("training")
    (epoch,) = MetricLog(tmp_path / "models" / "learns").read()
    assert epoch.metrics["val_loss"] < 0.9 * epoch.metrics[f"val_{MEAN_LOSS}"]


@pytest.fixture
def workflow(pretrain):
    workflow = pretrain(precision="float32").workflow("training")
    workflow.initialize()
    return workflow


def test_the_network_is_the_bundles_own(workflow):
    network, pretraining = workflow.parts("network", "pretraining")
    assert isinstance(network, UNet)
    assert pretraining.further == 4


def test_grey_values_below_zero_are_learnt_and_validated(workflow):
    """As labels they would be ignored. What copies its input is as good as filling in the mean."""
    mask = torch.ones(1, 1, 2, 2)
    assert workflow.trainer.loss_function(torch.zeros_like(mask), -3 * mask, mask) == 3
    (evaluator,) = workflow.parts("validate#evaluator")
    evaluator.network = torch.nn.Identity()
    evaluator.run()
    assert evaluator.state.metrics["loss"] == pytest.approx(evaluator.state.metrics[MEAN_LOSS])
