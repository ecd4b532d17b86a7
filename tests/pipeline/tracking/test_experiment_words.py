"""The arguments by which a training is done again."""

import json

import pytest

from pipeline.bundle import Bundle
from pipeline.tracking.experiment_words import experiment_words
from pipeline.tracking.trainings import StoredTraining


@pytest.fixture
def trained(bundle, tmp_path):
    """Return a function that gives the words for a training with overrides."""
    own = Bundle(bundle.parent)

    def trained(**overrides):
        workflow = own.with_overrides(overrides).workflow("training")
        workflow.parser.resolve_macro_and_relative_ids()  # as the workflow does when it begins
        config = json.loads(json.dumps(workflow.parser.config, default=str))
        training = StoredTraining("mine", config, tmp_path, "data")
        return experiment_words(workflow, own, training)

    return trained


def test_a_bundle_as_it_was_trained_needs_no_words(trained):
    assert trained() == []
    assert trained(seed=3, run_name="mine", threads=1) == []


def test_another_experiment_is_its_executed_config(trained, tmp_path):
    assert trained(max_epochs=3) == ["--with", tmp_path / "config.json"]
    assert json.loads((tmp_path / "config.json").read_text())["max_epochs"] == 3
