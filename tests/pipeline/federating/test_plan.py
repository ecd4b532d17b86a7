"""Plans that are refused before any site hears of them."""

import pytest

pytest.importorskip("nvflare")

from pipeline.bundle import Bundle
from pipeline.federating.plan import bundle_of_rounds, check_names
from pipeline.federating.privacy import privacy_filter
from tests.conftest import ROOT

BUNDLE = ROOT / "bundles" / "lungs_xray"


def test_epochs_are_divided_into_rounds_that_end_with_a_validation():
    bundle = bundle_of_rounds(Bundle(BUNDLE, [], {"max_epochs": 6}), 3)
    assert bundle.parser("training").get_parsed_content("val_interval") == 2


@pytest.mark.parametrize(
    ("overrides", "rounds", "words"),
    [
        ({"max_epochs": 10}, 3, "found 3 for 10 epochs.*--set max_epochs=12"),
        ({"max_epochs": 10}, 0, "found 0 for 10 epochs"),
        ({"patience": 2}, 5, "patience: no site may stop"),
        ({"average": {"_target_": "pipeline.training.averaged"}}, 5, "average: the sites'"),
        ({"init_from": "model.pt"}, 5, "init_from: every site decides it"),
        ({"threads": 1}, 5, "threads: every site decides it"),
        ({"val_interval": 1}, 5, "--set val_interval: the command itself decides it"),
        ({"max_epoch": 10}, 5, "max_epoch: nothing uses this key"),
    ],
)
def test_what_would_not_reach_the_sites_is_refused(overrides, rounds, words):
    with pytest.raises(ValueError, match=words):
        bundle_of_rounds(Bundle(BUNDLE, [], overrides), rounds)


def test_teachers_lie_at_one_site_alone():
    with pytest.raises(ValueError, match="recipe/distill: no site has the teachers"):
        bundle_of_rounds(Bundle(BUNDLE, ["recipe/distill"], {"max_epochs": 10}), 5)


@pytest.mark.parametrize("names", [["A"], ["A", "A"], ["A", "server"], ["A", "a b"], ["A", "-x"]])
def test_names_that_flare_does_not_take_are_refused(names):
    with pytest.raises(ValueError, match="--sites"):
        check_names(names)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["svd"], "--privacy svd: no such filter; did you mean 'svt'"),
        (["svt", "epsilo=1"], "no setting of svt; did you mean 'epsilon'"),
        (["svt", "epsilon=much"], "expected epsilon=NUMBER"),
    ],
)
def test_a_misspelt_filter_is_refused(words, message):
    with pytest.raises(ValueError, match=message):
        privacy_filter(words)
