"""One source of wiring: what the bundles have in common differs in no line."""

import pytest

from pipeline.bundle import Bundle
from pipeline.bundle.bundle import OVERLAYS
from pipeline.planning.wiring import CONFIGS, own_part, rewire, wiring_text
from tests.bundles.kinds import new_bundle
from tests.conftest import ROOT

BUNDLES = sorted(path.parents[1] for path in ROOT.glob("bundles/*/configs/train.yaml"))
MAX_TRAIN_LINES = 116


def code_lines(text: str) -> int:
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") for line in text.splitlines()
    )


@pytest.fixture(params=BUNDLES, ids=lambda path: path.name)
def folder(request):
    return request.param


@pytest.mark.parametrize("config", CONFIGS)
def test_the_wiring_of_a_bundle_is_the_source(folder, config):
    text = (folder / "configs" / f"{config}.yaml").read_text("utf-8")
    assert text == own_part(text, config) + wiring_text(config)


def test_train_shows_the_experiment(folder):
    text = (folder / "configs" / "train.yaml").read_text("utf-8")
    assert code_lines(text) <= MAX_TRAIN_LINES
    assert max(map(len, text.splitlines())) <= 150


@pytest.mark.parametrize("run", OVERLAYS)
def test_the_strict_check_accepts_every_bundle(folder, run):
    Bundle(folder).check(run)


def test_a_planned_bundle_has_the_same_wiring(tmp_path):
    bundle = new_bundle(tmp_path, "2D mask grey")
    assert rewire(bundle) == []
    path = bundle / "configs" / "evaluate.yaml"
    text = path.read_text("utf-8")
    path.write_text(text.replace('run: "%evaluating"', "run: []"))
    assert rewire(bundle) == [path]
    assert path.read_text("utf-8") == text


def test_a_config_without_its_wiring_is_refused():
    with pytest.raises(ValueError, match=r"train\.yaml: has no line"):
        own_part("seed: 0\n", "train")
