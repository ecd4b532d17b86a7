import pytest
from monai.bundle import ConfigParser, run

from pipeline.errors import error_line
from pipeline.bundle.check import mistakes


def mistake(start, **overrides):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - MONAI wraps what initialize raises
        start(**overrides)
    return error_line(caught.value)


def test_the_shipped_config_is_without_mistakes(start):
    assert start() is not None


def test_a_misspelt_knob(start):
    line = mistake(start, lerning_rate=1)
    assert line == "lerning_rate: nothing uses this key; did you mean 'learning_rate'?"


def test_a_misspelt_argument_of_a_component(start):
    line = mistake(start, train__trainer__max_epoch=2)
    assert line.startswith("train#trainer#max_epoch: SupervisedTrainer has no such argument")
    assert "did you mean 'max_epochs'?" in line


def test_a_misspelt_key_of_a_section(start):
    assert "did you mean 'preprocessing'" in mistake(start, train__preprocesing=[])


def test_a_misspelt_key_in_an_overlay_file(start, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("optimiser:\n  _target_: torch.optim.SGD\n  lr: 0.1\n")
    assert "optimiser: nothing uses this key; did you mean 'optimizer'?" in mistake(
        start, overlays=[overlay]
    )


def test_a_number_that_yaml_takes_for_text(start, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("learning_rate: 1e-3\n")
    assert "learning_rate: '1e-3' is text in YAML" in mistake(start, overlays=[overlay])


def test_the_same_through_the_python_function(bundle, phantom, tmp_path):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        run(
            run_id="training",
            config_file=str(bundle / "train.yaml"),
            dataset_dir=str(phantom),
            lerning_rate=1,
        )
    assert "did you mean 'learning_rate'" in error_line(caught.value)


def test_an_unknown_run_id(start):
    assert mistake(start, run_id="evaluating").startswith("evaluating: this config has no such id")


@pytest.mark.parametrize(
    "override",
    [
        {"network_def__dropout": 0.1},
        {"train__trainer__max_epochs": 3},
        {"train::trainer::max_epochs": 3},
        {"optimizer": {"_target_": "torch.optim.SGD", "params": "$@network.parameters()"}},
    ],
)
def test_legitimate_overrides_pass(start, override):
    assert start(**override)


def test_a_key_that_only_a_macro_copies_is_used():
    config = {"shared": [{"a": 1}], "train": {"dataset": {"data": "%shared"}}}
    assert list(mistakes(ConfigParser(config))) == []


def test_data_handed_to_a_component_may_have_any_key():
    config = {"network_def": {"_target_": "builtins.dict", "colours": {"red": 1}}}
    assert list(mistakes(ConfigParser(config))) == []


def test_a_knob_that_an_overlay_left_without_use_may_not_be_set(start):
    overlay = {"optimizer": {"_target_": "torch.optim.SGD", "params": "$@network.parameters()"}}
    assert "learning_rate: nothing uses this key" in mistake(start, learning_rate=0.5, **overlay)
