import math
import re

import pytest
from monai.bundle import ConfigWorkflow, run

from pipeline.bundle import Bundle, knobs
from pipeline.bundle.check import config_errors
from pipeline.bundle.knobs import knob_error
from pipeline.bundle.overrides import read_typed_texts
from pipeline.errors import error_line
from pipeline.metrics import instances, overlap, segments


def refusal(start, **overrides):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - MONAI wraps what initialize raises
        start(**overrides)
    return error_line(caught.value)


def test_the_shipped_config_is_accepted(start):
    assert start() is not None


def test_a_misspelt_knob(start):
    line = refusal(start, lerning_rate=1)
    assert line == "lerning_rate: nothing uses this key; did you mean 'learning_rate'?"


def test_a_misspelt_argument_of_a_component(start):
    line = refusal(start, train__trainer__max_epoch=2)
    assert line.startswith("train#trainer#max_epoch: training_engine has no such argument")
    assert "did you mean 'max_epochs'?" in line


def test_a_misspelt_key_of_a_section(start):
    assert "did you mean 'preprocessing'" in refusal(start, train__preprocesing=[])


def test_a_misspelt_key_in_an_overlay_file(start, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("optimiser:\n  _target_: torch.optim.SGD\n  lr: 0.1\n")
    assert "optimiser: nothing uses this key; did you mean 'optimizer'?" in refusal(
        start, overlays=[overlay]
    )


def test_a_number_that_yaml_takes_for_text(start, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("learning_rate: 1e-3\n")
    assert "learning_rate: found '1e-3', expected a number" in refusal(start, overlays=[overlay])


def test_the_same_through_the_python_function(bundle, phantom, tmp_path):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        run(
            run_id="training",
            config_file=str(bundle / "train.yaml"),
            dataset_dir=str(phantom),
            lerning_rate=1,
        )
    assert "did you mean 'learning_rate'" in error_line(caught.value)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("train", "did you mean 'training'?"),
        ("trainin", "did you mean 'training'?"),
        (
            "evaluating",
            "expected one of run, training; evaluating, inferring and explaining stand in",
        ),
    ],
)
def test_an_unknown_run_is_refused_with_the_nearest(bundle, phantom, name, remedy):
    workflow = ConfigWorkflow(str(bundle / "train.yaml"), run_id=name, dataset_dir=str(phantom))
    with pytest.raises(Exception) as caught:  # noqa: PT011
        workflow.initialize()
    line = error_line(caught.value)
    assert line.startswith(f"{name}: this config has no such run; {remedy}")


ODD = {
    "pach": ([512, 512], "pach: nothing uses this key; did you mean 'patch'?"),
    "windw": ([256, 256], "windw: nothing uses this key; did you mean 'window'?"),
    "netwrk_def#dropout": (0.1, "the config has no 'netwrk_def'; did you mean 'network_def'?"),
    "network_def#dropot": (0.1, "UNet has no such argument; did you mean 'dropout'?"),
    "train#trainr#max_epochs": (2, "the config has no 'train#trainr'; did you mean 'trainer'?"),
    "train#handlers#7": ({}, "train#handlers#7: found '7', expected a place from 0 to -1"),
    "seed#x": (1, "seed#x: seed is the value 0, which holds no keys"),
    "max_epochs": (1.5, "max_epochs: found 1.5, expected a whole number, 1 or more"),
    "steps_per_epoch": (0, "steps_per_epoch: found 0, expected a whole number, 1 or more"),
    "batch_size": (2.5, "batch_size: found 2.5, expected a whole number, 1 or more"),
    "learning_rate": ("fast", "learning_rate: found 'fast', expected a number, 0 or more"),
    "window": ([0, 0], "window: found [0, 0], expected a list of 2 or 3 whole numbers"),
    "patch": ([128], "patch: found [128], expected a list of 2 or 3 whole numbers"),
    "device": ("gpu", "device: found 'gpu', expected cpu, or cuda"),
    "output_dir": (
        20241125,
        "output_dir: found 20241125, expected a path; write one that is a num",
    ),
    "run_name": ("", "run_name: found '', expected a name"),
    "val_interval": (True, "val_interval: found True, expected a whole number"),
    "key_metric": ("joy", "key_metric: found 'joy', expected one of loss, iou, dice, accuracy"),
    "loss": ({"_target_": "torch.nn.BCELos"}, "loss: _target_ torch.nn.BCELos: no such class"),
}


@pytest.mark.parametrize("key", ODD)
def test_an_odd_override_is_one_line(bundle, key):
    value, message = ODD[key]
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        Bundle(bundle.parent, overrides={key: value}).check("training")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [-1, -0.1, math.inf, math.nan, "nan", None, [0.1]])
def test_a_rate_out_of_range_is_refused(value):
    assert knob_error("learning_rate", value).startswith("learning_rate: found ")


def test_what_is_typed_is_read_as_yaml_reads_it():
    typed = {"choose_postprocessing": "false", "resume": "null", "run_name": "1e5", "seed": "3"}
    read = read_typed_texts(typed)
    assert read == {"choose_postprocessing": False, "resume": None, "seed": 3}


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


def test_an_overlay_for_another_kind_of_bundle(start):
    with pytest.raises(ValueError, match=r"^@border: this config refers to a key that it does not"):
        start(overlays=["heads/distance"])


def test_a_key_that_only_a_macro_copies_is_used():
    config = {"shared": [{"a": 1}], "train": {"dataset": {"data": "%shared"}}}
    assert list(config_errors(config)) == []


def test_data_handed_to_a_component_may_have_any_key():
    config = {"network_def": {"_target_": "builtins.dict", "colours": {"red": 1}}}
    assert list(config_errors(config)) == []


def test_a_knob_that_an_overlay_left_without_use_may_not_be_set(start):
    overlay = {"optimizer": {"_target_": "torch.optim.SGD", "params": "$@network.parameters()"}}
    assert "learning_rate: nothing uses this key" in refusal(start, learning_rate=0.5, **overlay)


def test_an_interrupted_import_is_no_mistake_of_the_config(tmp_path, monkeypatch):
    (tmp_path / "module_that_takes_long.py").write_text("raise KeyboardInterrupt\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = {"loss": {"_target_": "module_that_takes_long.Loss"}, "run": "$@loss"}
    with pytest.raises(KeyboardInterrupt):
        list(config_errors(config))


def test_the_metrics_of_knobs_are_those_that_are_computed():
    """Knobs repeat their names, so that a check of a config imports no metric."""
    assert set(knobs.METRICS) == set(overlap.METRICS)
    assert set(knobs.INSTANCE_METRICS) == set(instances.INSTANCE_METRICS)
    assert knobs.PARTITION_METRICS == segments.PARTITION_METRICS
