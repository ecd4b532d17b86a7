"""One image from Python: what ``TrainedModel.load(…).predict(…)`` gives is what infer writes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.data.readers import read_pixels
from pipeline.inference import OperatingPoint, TrainedModel
from pipeline.inference.trained_model import read_record, write_record


@pytest.fixture
def overrides(site, small):
    model = site / "models" / "model.pt"
    point = OperatingPoint(threshold=0.45, tta_versions=2)
    write_record(model, read_record(model).model_copy(update={"operating_point": point}))
    places = {"models_dir": str(site / "models"), "tracking_dir": str(site / "mlruns")}
    return {**small, **places}


@pytest.fixture
def image(phantom) -> Path:
    return sorted((phantom / "images").iterdir())[0]


def test_a_file_is_segmented_as_by_infer(site, phantom, image, bundle, overrides, run_bundle):
    out = site / "out"
    run_bundle(site, "inferring", image_dir=str(phantom / "images"), output_dir=str(out))
    model = TrainedModel.load(bundle.parent, overrides=overrides)
    prediction = model.predict(image)
    written = read_pixels(out / "mask" / image.name).array > 0
    assert np.array_equal(prediction.masks["interior"], written)
    assert 0 < written.mean() < 1
    probability = prediction.probabilities["interior"]
    assert np.array_equal(probability >= 0.45, written)
    assert np.array_equal(prediction.label_map, written)
    assert prediction.instances is None
    report = json.loads((out / "run_report.json").read_text())["per_image"]
    assert list(prediction.differences) == report[0]["differences"] != []


def test_an_array_is_segmented_as_its_file(image, bundle, overrides):
    model = TrainedModel.load(bundle.parent, overrides=overrides)
    array = read_pixels(image).array
    of_file = model.predict(image).probabilities["interior"]
    state = torch.get_rng_state()
    for given in (array, array[None], torch.from_numpy(array), array.astype(np.uint16) * 257):
        of_array = model.predict(given).probabilities["interior"]
        np.testing.assert_allclose(of_array, of_file, atol=1e-5)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_run_is_met_with_its_own_network(site, image, bundle, overrides):
    name = read_record(site / "models" / "model.pt").run_name
    places = {key: overrides[key] for key in ("models_dir", "tracking_dir")}
    model = TrainedModel.load(bundle.parent, run=name, overrides=places)
    assert model.record.run_name == name
    assert model.predict(image).masks["interior"].shape == read_pixels(image).size
    with pytest.raises(ValueError, match="other: no such training"):
        TrainedModel.load(bundle.parent, run="other", overrides=places)


def test_what_cannot_be_predicted_is_one_line(site, phantom, image, bundle, overrides):
    model = TrainedModel.load(bundle.parent, overrides=overrides)
    with pytest.raises(ValueError, match=r"5 images; predict takes one"):
        model.predict(phantom / "images")
    with pytest.raises(ValueError, match=r"image: found shape \(4,\); the network takes 2 axes"):
        model.predict(np.zeros(4))
    with pytest.raises(ValueError, match="NaN or infinite"):
        model.predict(np.full((64, 64), np.nan))
    with pytest.raises(FileNotFoundError, match=r"none\.png: no such file"):
        model.predict("none.png")
    with pytest.raises(ValueError, match=r"treshold.*threshold"):
        TrainedModel.load(bundle.parent, overrides={**overrides, "treshold": 0.4})
    with pytest.raises(FileNotFoundError, match="train first"):
        TrainedModel.load(bundle.parent, overrides={**overrides, "models_dir": str(site / "no")})
    with pytest.raises(ValueError, match=r"without its bundle; use TrainedModel\.load"):
        TrainedModel(site / "models" / "model.pt").predict(image)
