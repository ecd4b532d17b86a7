"""The default policy lets our own bundles do what they do, and nothing beyond."""

import re

import pytest

from pipeline.bundle.bundle import shared_overlays
from pipeline.bundle.check import config_errors
from pipeline.bundle.flatten import dump, flatten
from pipeline.sharing.configs import judge_config
from pipeline.sharing.packed_configs import packed_configs
from pipeline.sharing.parsing import strict_yaml
from pipeline.sharing.policy import read_policy
from tests.conftest import ROOT

OVERLAYS = ("evaluate.yaml", "explain.yaml", "inference.yaml", "multi_gpu.yaml")
NOT_SHARED = {"pipeline.papers.measure.measure"}
"""What papers measure beside an evaluation."""
PREPARE = {"_target_": "pipeline.bundle.prepare", "seed": "@seed", "threads": "@threads"}


def flattened():
    for bundle in sorted((ROOT / "bundles").iterdir()):
        configs = bundle / "configs"
        experiments = [
            path
            for path in sorted(configs.glob("experiments/**/*.yaml"))
            if path.name != "evaluate.yaml" and "reduced" not in path.parts
        ]
        overlays = [*(configs / name for name in OVERLAYS), *sorted(shared_overlays().iterdir())]
        for more in ([], *([path] for path in (*overlays, *experiments))):
            yield flatten([configs / "train.yaml", *more])


def packed():
    """The configs of every bundle as they are packed, evaluated alone and as the papers are."""
    for bundle in sorted((ROOT / "bundles").iterdir()):
        train, evaluate = bundle / "configs" / "train.yaml", bundle / "configs" / "evaluate.yaml"
        of_papers = sorted(bundle.glob("configs/experiments/*/evaluate.yaml"))
        for more in ([], *([path] for path in of_papers)):
            executed = flatten([train]), flatten([train, evaluate, *more])
            yield packed_configs(bundle, *executed)


@pytest.fixture(scope="module")
def judged():
    """Everything that our bundles and experiments do, read back from the YAML that is packed."""
    judgements = []
    for config in flattened():
        read = strict_yaml(dump(config, "a title"), "x.yaml")
        assert read == config
        judgements += judge_config(read, "x.yaml", read_policy())
    for name, content in (item for configs in packed() for item in configs.items()):
        judgements += judge_config(strict_yaml(content, name), name, read_policy())
    return judgements


def test_our_bundles_and_experiments_are_accepted(judged):
    assert {(value.text, value.reason) for value in judged if value.reason} == set()


def test_the_list_of_targets_is_no_longer_than_needed(judged):
    needed = {value.text for value in judged if value.kind == "target"}
    templates = (ROOT / "pipeline/planning/templates").glob("*.jinja")
    text = "\n".join(path.read_text("utf-8") for path in templates)
    planned = {
        name for name in read_policy().targets if re.search(rf"\b{name.split('.')[-1]}\b", text)
    }
    assert read_policy().targets == (needed | planned) - NOT_SHARED


def test_a_flat_config_stands_alone(judged):
    for config in flattened():
        assert "initialize" not in config
        assert config["run"][0] == PREPARE
    assert {value.kind for value in judged} == {"target", "expression", "path"}


@pytest.mark.parametrize(("file", "steps"), [("train", "training"), ("evaluate", "evaluating")])
def test_a_run_that_is_not_named_does_the_same(file, steps):
    name = f"configs/{file}.yaml"
    for config in (strict_yaml(configs[name], name) for configs in packed()):
        assert config["run"] == config[steps]


def test_no_packed_config_holds_a_key_that_nothing_uses():
    for configs in packed():
        read = {name: strict_yaml(content, name) for name, content in configs.items()}
        for name, config in read.items():
            assert list(config_errors(config, read["configs/train.yaml"])) == [], name
