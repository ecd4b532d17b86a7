import json

import pytest

from pipeline.papers.shipped import shipped_bundles
from pipeline.product import product_root
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def bundles():
    return {bundle.name: bundle for bundle in shipped_bundles(product_root())}


def test_every_bundle_is_described(bundles):
    assert set(bundles) == {path.name for path in (ROOT / "bundles").iterdir() if path.is_dir()}
    assert all(bundle.purpose and bundle.weights > 10**6 for bundle in bundles.values())
    assert bundles["membranes"].network == "UNet of 24, 48, 96, 192, 384 features"


def test_the_scores_are_those_of_the_record(bundles):
    record = json.loads((ROOT / "docs/results/pancreas_ct/default.json").read_text())
    mean = record["metrics"]["test_dice"]["mean"]
    assert bundles["pancreas_ct"].scores.startswith(f"Dice {mean:.3f} (")
    assert "45 test images of pancreas_ct" in bundles["pancreas_ct"].scores
    assert "synthetic" in bundles["lungs_ct"].scores
    assert bundles["nuclei"].scores == ""
