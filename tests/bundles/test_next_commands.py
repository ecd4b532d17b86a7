"""The commands that a command prints at its end, as a user pastes them."""

import re
import shlex
import shutil

import pytest

from pipeline import cli
from pipeline.tracking.store import open_store
from pipeline.tracking.trainings import find_training
from tests.conftest import ROOT

NEXT = re.compile(r"^next {8}unet-school (.*)$", re.MULTILINE)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A working directory with a bundle that is explained in seconds."""
    bundle = tmp_path / "bundles" / "membranes"
    ignore = shutil.ignore_patterns("models", "data", "eval", "explanation")
    shutil.copytree(ROOT / "bundles" / "membranes", bundle, ignore=ignore)
    path = bundle / "configs" / "explain.yaml"
    text = path.read_text("utf-8")
    text = text.replace("size: 16, stride", "size: 32, stride").replace(
        "clusters: 4", "clusters: 2"
    )
    path.write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(workplace, capfd):
    """Return a function that types a command, which must succeed; it returns what is printed."""

    def call(*words):
        capfd.readouterr()
        assert cli.main(list(words)) == 0, capfd.readouterr().err
        printed = capfd.readouterr().out
        assert printed.count("next        ") <= 1
        return printed

    return call


def next_of(printed):
    (line,) = NEXT.findall(printed)
    return shlex.split(line)


@pytest.mark.slow
def test_from_images_to_a_signed_bundle_by_what_is_printed(call, workplace, small):
    printed = call("data", "phantom", "--count", "8", "--size", "64", "--out", "data")
    assert printed.startswith("making 8 images in data\n")
    check = next_of(printed)
    assert call(*check).startswith("inspecting 8 cases\n")

    settings = [f"{key}={value}" for key, value in small.items()]
    train = ["train", "bundles/membranes", "--data", "data", "--set", "run_name=my run"]
    printed = call(*train, *settings)
    assert "membranes my run: 4 training and 2 validation cases of data, UNet of " in printed
    evaluate = next_of(printed)
    assert evaluate == ["evaluate", "bundles/membranes", "--run", "my run"]

    printed = call(*evaluate)
    assert "\nevaluating bundles/membranes/models/my run/model.pt of my run: " in printed
    explain = next_of(printed)
    printed = call(*explain)
    assert "\nexplaining bundles/membranes/models/my run/model.pt of my run: " in printed
    pack = next_of(printed)

    printed = call(*pack)
    assert printed.startswith("packing bundles/membranes with ")
    make_keys = next_of(printed)
    call(*make_keys)
    sign = next_of(call(*pack))
    call(*sign)
    assert (workplace / "my run.zip.sig").is_file()

    resumed = call("train", "bundles/membranes", "--resume", "my run", "--set", "max_epochs=3")
    assert "epochs 3 to 3 of 2 steps, resumed after epoch 2\n" in resumed
    stored = find_training(open_store(workplace / "mlruns"), "my run", "membranes")
    assert "current_run" in stored.config  # not the overlay that --run wrote into the run's folder

    shutil.copytree(workplace / "bundles/membranes/configs", workplace / "bundles/ours/configs")
    printed = call("evaluate", "bundles/ours", "--run", "my run", "--data", "data")
    assert "\nevaluating bundles/membranes/models/my run/model.pt of my run: " in printed


@pytest.mark.slow
def test_a_planned_bundle_is_trained_by_what_is_printed(call):
    call("data", "phantom", "--count", "6", "--size", "64", "--out", "data")
    planned = call("new", "bundles/mine", "--images", "data/images", "--masks", "data/labels")
    train = next_of(planned)
    assert train == ["train", "bundles/mine"]
    assert next_of(call("data", "check", "bundles/mine/data")) == train
    few = ["max_epochs=1", "steps_per_epoch=1", "val_interval=1", "threads=1"]
    assert next_of(call(*train, "--set", *few))[0] == "evaluate"


def test_slices_are_prepared_by_what_is_printed(call):
    printed = call(
        "data", "phantom", "--kind", "lungs", "--count", "17", "--size", "64", "--out", "ct"
    )
    prepare = next_of(printed)
    printed = call(*prepare)
    assert printed.startswith("listing the files of ct\npreparing 17 cases in ct_cohort\n")
    call(*next_of(printed))
