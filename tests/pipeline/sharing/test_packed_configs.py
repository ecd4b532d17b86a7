"""Configs are made from values: those of our own bundles, and what else a package may hold."""

import copy
import json
from contextlib import suppress
from functools import cache

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from monai.bundle import ConfigParser

from pipeline.bundle import Bundle
from pipeline.bundle.bundle import shared_overlays
from pipeline.bundle.check import RUN_NAMES, config_errors
from pipeline.bundle.flatten import dump
from pipeline.inference.engine import PLAIN
from pipeline.papers.configs import OneScaleError, experiment_bundle
from pipeline.papers.paper import paper_names, read_paper
from pipeline.sharing.archive import RefusedError
from pipeline.sharing.judgement import judge_values
from pipeline.sharing.packed_configs import packed_configs, packed_values, places
from pipeline.sharing.policy import read_policy
from pipeline.sharing.values import read_values
from tests.conftest import ROOT

BUNDLES = sorted((ROOT / "bundles").iterdir())
NUCLEI = ROOT / "bundles" / "nuclei"
"""The bundle of instances, which the overlays of heads are for."""
MULTI_GPU = "multi_gpu.yaml"


@cache
def executed(bundle, run, *overlays):
    """The config as a run records it: merged, with its macros filled in."""
    parser = ConfigParser(Bundle(bundle, overlays).config(run))
    parser.resolve_macro_and_relative_ids()
    return json.loads(json.dumps(parser.config))


def values_of(bundle, *overlays):
    runs = (executed(bundle, run, *overlays) for run in ("training", "evaluating"))
    return packed_values(Bundle(bundle), *runs)


def ensemble():
    """A bundle with the networks of its folds as one, as crossval writes it."""
    network = Bundle(BUNDLES[0]).config("training")["network_def"]
    joint = {"_target_": "pipeline.networks.Ensemble", "members": [network, network]}
    return Bundle(BUNDLES[0], [], {"network_def": joint})


def experiments():
    """Every bundle, with the shared overlays that fit it, and every experiment of every paper."""
    yield ensemble()
    for bundle in BUNDLES:
        yield Bundle(bundle)
        for path in sorted(bundle.glob("configs/experiments/*.yaml")):
            yield Bundle(bundle, [path])
    for path in sorted(shared_overlays().glob("**/*.yaml")):
        if path.parent.name == "pretraining":  # what it leads to is not packed
            continue
        yield Bundle(NUCLEI if path.parent.name == "heads" else BUNDLES[0], [path])
    for paper in map(read_paper, paper_names()):
        for experiment in paper.experiments:
            yield experiment_bundle(ROOT, paper, experiment, "reduced")
            with suppress(OneScaleError):
                yield experiment_bundle(ROOT, paper, experiment, "paper")


@pytest.fixture(scope="module")
def judged():
    """A judgement of every value of our bundles and experiments."""
    judgements = []
    for bundle in experiments():
        values = packed_values(bundle, bundle.config("training"), bundle.config("evaluating"))
        judgements += judge_values(values, read_policy())
    return judgements


def test_our_bundles_and_experiments_are_values_alone(judged):
    beyond = [judgement for judgement in judged if judgement.reason or judgement.is_custom]
    # an experiment of "U-Net School" scores its masks at another size than their files'
    assert [judgement for judgement in beyond if judgement.reason] == []
    assert [j for j in beyond if not j.key.startswith("train::label_preprocessing")] == []


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_a_packed_config_says_what_was_executed(bundle):
    configs = packed_configs(values_of(bundle))
    read = {name: yaml.safe_load(content) for name, content in configs.items()}
    train, evaluate = executed(bundle, "training"), executed(bundle, "evaluating")
    for name, config in read.items():
        assert list(config_errors(config, read["configs/train.yaml"])) == [], name
        assert "initialize" not in config
        assert config["run"][0]["_target_"] == "pipeline.bundle.prepare"
    for name, run, whole in (("train", "training", train), ("evaluate", "evaluating", evaluate)):
        config = read[f"configs/{name}.yaml"]
        assert config["run"] == config[run]
        assert config[run][1:] == json.loads(json.dumps(whole[run]).replace("::", "#"))
        own = (
            set(whole) - {*places("train"), *places("evaluate"), *read, "initialize"} - {*RUN_NAMES}
        )
        as_packed = json.loads(json.dumps({key: config[key] for key in own}).replace("#", "::"))
        assert as_packed == {key: whole[key] for key in own}


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_the_places_are_those_of_our_bundles(bundle):
    own = {
        "train": executed(bundle, "training"), "evaluate": executed(bundle, "evaluating"),
        "inference": executed(bundle, "inferring"), "explain": executed(bundle, "explaining"),
    }  # fmt: skip
    of_the_receiver = {"models_dir", "tracking_dir", "input_check", "as_stored", "reference"}
    own["evaluate"]["engine"] = PLAIN  # a receiver measures none
    for name, config in own.items():
        for key, value in places(name).items():
            assert key in of_the_receiver or config[key] == value, (name, key)


def test_a_training_of_several_processes_is_packed_as_any_other():
    bundle = BUNDLES[0]
    evaluated = executed(bundle, "evaluating")
    trained = executed(bundle, "training", bundle / "configs" / MULTI_GPU)
    assert packed_values(Bundle(bundle), trained, evaluated) == values_of(bundle)


def test_a_fold_is_packed_as_any_other_training():
    bundle = BUNDLES[0]
    trained, evaluated = executed(bundle, "training"), executed(bundle, "evaluating")
    trained["current_run"]["parent"] = "id of the cross-validation"
    assert packed_values(Bundle(bundle), trained, evaluated) == values_of(bundle)


def test_a_changed_wiring_makes_a_custom_config():
    bundle = BUNDLES[0]
    trained, evaluated = executed(bundle, "training"), executed(bundle, "evaluating")
    trained["train"]["dataloader"]["num_workers"] = 4
    values = packed_values(Bundle(bundle), trained, evaluated)
    assert values.train["train#dataloader"]["num_workers"] == 4
    made = yaml.safe_load(packed_configs(values)["configs/train.yaml"])
    assert made["train"]["dataloader"]["num_workers"] == 4
    assert any(
        judgement.is_custom or judgement.reason for judgement in judge_values(values, read_policy())
    )


def test_values_are_ascii_and_come_back_whole():
    values = values_of(BUNDLES[0])
    named = values.model_copy(update={"train": {**values.train, "labels": {"Ödem": 1}}})
    assert read_values(named.to_json()) == named
    assert packed_configs(named)["configs/train.yaml"].isascii()
    in_utf_8 = named.to_json().replace(b"\\u00d6", "Ö".encode())
    for content in (in_utf_8, named.to_json() + b" " * (1 << 16), b'{"train": {}}', b"[]"):
        with pytest.raises(RefusedError):
            read_values(content)


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
NUMBERS = st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXTS, JSON, max_size=4))
def test_yaml_is_read_as_it_was_judged(content):
    assert yaml.safe_load(dump(copy.deepcopy(content), "a title")) == content


def test_the_policy_lists_no_target_that_no_bundle_needs(judged):
    used = {judgement.text for judgement in judged if judgement.kind == "component"}
    templates = (ROOT / "pipeline/planning/templates").glob("*.jinja")
    text = "\n".join(path.read_text("utf-8") for path in templates)
    listed = {name for role in read_policy().targets.values() for name in role}
    assert {name for name in listed - used if name not in text} == set()
