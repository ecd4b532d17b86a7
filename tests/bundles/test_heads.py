"""Distances that a network learns beside the mask: each of the three networks, flat and solid."""

import json

import numpy as np
import pytest

from pipeline.bundle import Bundle
from pipeline.inference.trained_model import TrainedModel
from tests.bundles.kinds import PATCHES, SMALL, new_bundle

CELLS = [
    ("2D instances grey", ["unet", "heads/distance", "recipe/deep_supervision"], [2, 2, 2, 2]),
    ("2D instances colour", ["unetpp_deep_supervision", "heads/distance"], [2, 2, 2, 2, 2]),
    ("3D instances grey", ["unet3plus", "heads/distance"], [2, 2, 2, 2, 2]),
]


@pytest.fixture(scope="module", params=CELLS, ids=lambda cell: "-".join((cell[0], cell[1][0])))
def evaluated(request, tmp_path_factory):
    """A model with distances, trained for a step and evaluated."""
    kind, overlays, features = request.param
    root = tmp_path_factory.mktemp("heads")
    settings = {
        **SMALL,
        **PATCHES[int(kind[0])],
        "network_def#features": features,
        "steps_per_epoch": 1,
        "models_dir": str(root / "models"),
        "tracking_dir": str(root / "mlruns"),
    }
    bundle = Bundle(new_bundle(root, kind), overlays, settings)
    bundle.run("training")
    choices = {"output_dir": str(root / "evaluation"), "tta_versions": 1, "outer_missed": 0.9}
    bundle.with_overrides({**choices, "engine": "float32"}).run("evaluating")
    return bundle, root


def test_the_operating_point_reads_distances(evaluated):
    _, root = evaluated
    summary = json.loads((root / "evaluation" / "summary.json").read_text())
    assert summary["operating_point"]["instances"]["seeds"] == "distance"
    assert {"f1", "pq"} <= set(summary["test"])
    assert "instances end at" in summary["trials_on_validation"]


def test_an_inference_numbers_instances_by_them(evaluated):
    bundle, _ = evaluated
    model = TrainedModel.load(bundle.folder, overlays=bundle.overlays, overrides=bundle.overrides)
    image = next((bundle.folder / "data" / "images").iterdir())
    prediction = model.predict(image)
    assert list(prediction.probabilities) == ["foreground"]
    assert np.array_equal(prediction.instances > 0, prediction.masks["foreground"])
