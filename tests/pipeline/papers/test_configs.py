import pytest

from pipeline.papers.configs import config_sha256, training_configs
from pipeline.papers.paper import read_paper
from tests.conftest import ROOT


def test_a_config_is_told_from_another(tmp_path):
    path = tmp_path / "train.yaml"
    path.write_text("rate: 1\n")
    first = config_sha256([path], ["--threads", "1"])
    assert first == config_sha256([path], [])
    assert first != config_sha256([path], ["--rate", "2"])
    one = config_sha256([path], ["--rate", "2", "--size", "3"])
    assert one == config_sha256([path], ["--size", "3", "--rate", "2"])
    path.write_text("rate: 2  # another\n")
    assert first != config_sha256([path], [])


def test_a_base_stands_before_what_is_built_on_it():
    paper = read_paper("unet_school_isbi")
    experiment = paper.experiment("unet3plus_sgd")
    files = training_configs(ROOT, paper, experiment, "laptop")
    names = [path.relative_to(ROOT / "bundles/membranes/configs").as_posix() for path in files]
    folder = "experiments/unet_school_isbi"
    assert names == [
        "train.yaml",
        f"{folder}/unet3plus.yaml",
        f"{folder}/unet3plus_sgd.yaml",
        f"{folder}/laptop/unet3plus_sgd.yaml",
    ]
    assert training_configs(ROOT, paper, experiment, "paper") == files[:-1]
    like_its_base = training_configs(ROOT, paper, paper.experiment("unet3plus_rmsprop"), "laptop")
    assert like_its_base[-1].name == "unet3plus.yaml"


def test_what_has_one_scale_is_refused_at_the_other():
    paper = read_paper("membranes")
    with pytest.raises(ValueError, match="membranes: default has laptop scale alone"):
        training_configs(ROOT, paper, paper.experiment("default"), "paper")
