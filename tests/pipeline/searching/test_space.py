"""The space of a search: what is read of its YAML, and what is refused by name."""

import re

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from pipeline.bundle import Bundle
from pipeline.searching.space import check_space, default_parameters, read_space, values_of


def space_of(tmp_path, text):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return read_space(path)


def test_ranges_and_lists(tmp_path):
    space = space_of(
        tmp_path,
        "learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}\n"
        "batch_size: {low: 2, high: 8, step: 2}\n"
        "patch: [[64, 64], [96, 96]]\n",
    )
    assert space == {
        "learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
        "batch_size": IntDistribution(2, 8, step=2),
        "patch": CategoricalDistribution(["[64, 64]", "[96, 96]"]),
    }
    assert values_of({"patch": "[96, 96]", "batch_size": 4}) == {"patch": [96, 96], "batch_size": 4}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "found no keys, expected those of the config"),
        ("a: [", "not readable as YAML"),
        ("learning_rate: 0.1", "learning_rate: found 0.1, expected a list of values, as [2, 4, 8]"),
        ("batch_size: [2]", "batch_size: found [2], expected two values or more, each once"),
        ("batch_size: [2, 2]", "batch_size: found [2, 2], expected two values or more, each once"),
        ("learning_rate: {low: 1e-4, high: 1}", "low: found '1e-4', expected a number, as 1.0e-3"),
        ("learning_rate: {low: 2, high: 1}", "found low 2 and high 1, expected low below high"),
        ("learning_rate: {low: 0, high: 1, log: true}", "learning_rate: `low >= 1` must hold"),
        ("learning_rate: {lo: 0.1, high: 1.0}", "lo: no such key; did you mean 'low'?"),
        ("learning_rate: {low: 0.1, high: 1.0, log: 3}", "log: found 3, expected true or false"),
    ],
)
def test_errors_name_the_key(tmp_path, text, line):
    with pytest.raises(ValueError, match=re.escape(line)):
        space_of(tmp_path, text)


def test_a_space_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="how_to/search"):
        read_space(tmp_path / "space.yaml")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("lerning_rate: [0.1, 0.2]", "lerning_rate: nothing uses this key; did you mean"),
        ("batch_size: [2, 0]", "batch_size: found 0, expected a whole number, 1 or more"),
        ("learning_rate: {low: -1.0, high: 1.0}", "learning_rate: found -1.0, expected a number"),
        ("optimizer#weight_decays: [0, 1]", "optimizer#weight_decays: Adam has no such argument"),
        ("seed: [0, 1]", "seed: the search itself decides it; leave it out"),
        ("key_metric: [iou, dice]", "key_metric: its values could not be compared; leave it out"),
        ("max_epochs: [1, 2]", "max_epochs: is set by --set and searched; leave one of them out"),
    ],
)
def test_a_key_that_a_training_does_not_take_is_refused(tmp_path, bundle, text, line):
    with pytest.raises(ValueError, match=re.escape(line)):
        check_space(Bundle(bundle.parent, overrides={"max_epochs": 2}), space_of(tmp_path, text))


def test_the_bundles_own_values_are_a_trial_where_the_space_has_them(tmp_path, bundle):
    text = "learning_rate: {low: 0.001, high: 0.01}\nnetwork_def#dropout: [0.0, 0.5]\n"
    own, outside = default_parameters(Bundle(bundle.parent), space_of(tmp_path, text))
    assert (own, outside) == ({"learning_rate": 0.003, "network_def#dropout": "0.0"}, [])
    more = space_of(tmp_path, text + "batch_size: [8, 16]\noptimizer#weight_decay: [0, 1]\n")
    _, outside = default_parameters(Bundle(bundle.parent), more)
    assert outside == ["batch_size", "optimizer#weight_decay"]
