import re

import pytest

from pipeline.bundle import Bundle
from tests.conftest import ROOT


@pytest.fixture
def membranes():
    return Bundle(ROOT / "bundles" / "membranes")


def test_the_configs_of_a_run_are_laid_over_each_other_in_order(membranes):
    further = membranes.configs / "experiments" / "membranes" / "evaluate.yaml"
    names = [path.name for path in membranes.with_overlay("unetpp").files("evaluating", further)]
    assert names == ["train.yaml", "unetpp.yaml", "evaluate.yaml", "evaluate.yaml"]
    assert [path.name for path in membranes.files("training")] == ["train.yaml"]


def test_a_whole_config_stands_alone(membranes, tmp_path):
    (tmp_path / "configs").mkdir()
    for name in ("train", "inference"):
        (tmp_path / "configs" / f"{name}.yaml").write_text("bundle_root: here\n")
    packed = Bundle(tmp_path)
    assert packed.files("inferring") == [tmp_path / "configs" / "inference.yaml"]
    with pytest.raises(ValueError, match=r"inference\.yaml: is whole; it takes no overlay"):
        packed.with_overlay("unetpp").files("inferring")


def test_the_command_does_the_same(membranes):
    command = membranes.with_overrides({"max_epochs": 5, "resume": None}).command("training")
    assert command == (
        f"python -m monai.bundle run training --config_file {membranes.configs}/train.yaml "
        "--max_epochs 5 --resume None"
    )
    command = membranes.with_overlay("elastic").command("training")
    assert f"--config_file \"['{membranes.configs}/train.yaml','" in command


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b: b.with_overlay("unetp"), "no such overlay; did you mean 'unetpp'?"),
        (lambda b: b.with_overlay("gone.yaml"), "gone.yaml: no such overlay"),
        (lambda b: b.files("train"), "train: no such run; did you mean 'training'?"),
        (lambda b: b.with_overrides({"seed": 1}).with_places({"seed": 2}), "--set seed: the comm"),
        (lambda b: Bundle(b.configs), "give the folder of a bundle, as bundles/membranes"),
        (lambda b: b.files("training", b.folder / "no.yaml"), "no.yaml: no such config"),
    ],
)
def test_user_errors(membranes, call, message):
    with pytest.raises((ValueError, FileNotFoundError), match=re.escape(message)):
        call(membranes)


def test_a_training_takes_what_is_its_own_of_the_settings_of_both(membranes):
    settings = {"seed": 1, "train#trainer#patience": 3, "isbi_metrics": False, "engine": "float32"}
    training = membranes.with_overrides(settings).for_training()
    assert training.overrides == {"seed": 1, "train#trainer#patience": 3}
    with pytest.raises(ValueError, match=r"isbi_metric: .*did you mean 'isbi_metrics'"):
        membranes.with_overrides({"isbi_metric": False}).for_training()
