import shutil

import pytest

from pipeline.papers.configs import (
    OneScaleError,
    config_hashes,
    config_sha256,
    evaluation_overlay,
    experiment_bundle,
)
from pipeline.papers.paper import read_paper
from pipeline.planning.wiring import wiring_of
from tests.conftest import ROOT

CONFIGS = "bundles/membranes/configs"


@pytest.fixture
def root(tmp_path):
    """A root with a bundle that may be changed."""
    shutil.copytree(ROOT / CONFIGS, tmp_path / CONFIGS)
    return tmp_path


def hashes(root, settings=(), scale="reduced"):
    paper = read_paper("unet_school_isbi")
    return config_hashes(root, paper, paper.experiment("unet"), scale, list(settings))


def test_a_setting_changes_both_hashes_but_threads_change_none(root):
    first = hashes(root)
    assert hashes(root, ["threads=1"]) == first
    other = hashes(root, ["learning_rate=2.0e-3"])
    assert all(other[key] != value for key, value in first.items())
    both = hashes(root, ["learning_rate=2.0e-3", "seed=3"])
    assert both == hashes(root, ["seed=3", "learning_rate=2.0e-3"])


def test_a_comment_changes_no_hash_and_a_value_does(root):
    first = hashes(root)
    overlay = root / CONFIGS / "experiments/unet_school_isbi/reduced/unet.yaml"
    text = overlay.read_text("utf-8")
    overlay.write_text(f"{text}\n# another comment\n", "utf-8")
    assert hashes(root) == first
    overlay.write_text(text.replace("learning_rate: 3.0e-3", "learning_rate: 4.0e-3"), "utf-8")
    assert hashes(root) != first


def test_the_evaluation_overlay_changes_the_hash_of_the_evaluation_alone(root):
    first = hashes(root)
    overlay = evaluation_overlay(root, read_paper("unet_school_isbi"))
    overlay.write_text(
        overlay.read_text("utf-8").replace("tta_versions: 1", "tta_versions: 8"), "utf-8"
    )
    second = hashes(root)
    assert second["training_sha256"] == first["training_sha256"]
    assert second["evaluation_sha256"] != first["evaluation_sha256"]


@pytest.mark.parametrize("run", ["training", "evaluating"])
def test_the_wiring_is_left_out_of_a_hash(run):
    first = config_sha256({"rate": 1}, run)
    assert config_sha256({"rate": 1, **wiring_of(run)}, run) == first
    assert config_sha256({"rate": 2}, run) != first


def test_a_base_stands_before_its_experiment():
    paper = read_paper("unet_school_isbi")
    experiment = paper.experiment("unet3plus_sgd")
    files = experiment_bundle(ROOT, paper, experiment, "reduced").files("training")
    names = [path.relative_to(ROOT / CONFIGS).as_posix() for path in files]
    folder = "experiments/unet_school_isbi"
    assert names == [
        "train.yaml",
        f"{folder}/unet3plus.yaml",
        f"{folder}/unet3plus_sgd.yaml",
        f"{folder}/reduced/unet3plus_sgd.yaml",
    ]
    assert experiment_bundle(ROOT, paper, experiment, "paper").files("training") == files[:-1]
    like_its_base = experiment_bundle(ROOT, paper, paper.experiment("unet3plus_rmsprop"), "reduced")
    assert like_its_base.files("training")[-1].name == "unet3plus.yaml"


def test_an_experiment_of_one_scale_is_refused_at_the_other():
    paper = read_paper("membranes")
    with pytest.raises(OneScaleError, match="membranes: default has reduced scale alone"):
        experiment_bundle(ROOT, paper, paper.experiment("default"), "paper")


def test_a_missing_file_names_root(tmp_path):
    paper = read_paper("membranes")
    with pytest.raises(FileNotFoundError, match=r"give --root the folder that holds bundles and"):
        experiment_bundle(tmp_path, paper, paper.experiment("default"), "reduced")
