import pytest
import torch

from pipeline.inference.operating_point import OperatingPoint
from pipeline.inference.trained_model import TrainedModel, read_record, save_model

FIELDS = {
    "bundle": "membranes",
    "run_name": "mine",
    "trained_on": ["a"],
    "chosen_on": [],
    "hashes": ["values"],
}


def test_an_operating_point_is_not_stored_with_the_weights_of_another_training(tmp_path):
    path = tmp_path / "model.pt"
    save_model(path, {"weight": torch.zeros(1)}, **FIELDS)
    model = TrainedModel(path)
    save_model(path, {"weight": torch.ones(1)}, **{**FIELDS, "run_name": "other"})
    with pytest.raises(ValueError, match="another training was published there during this") as e:
        model.store(OperatingPoint(threshold=0.7))
    assert str(e.value).startswith(f"{path}: ")
    record = read_record(path)
    assert (record.run_name, record.operating_point) == ("other", None)
    TrainedModel(path).store(OperatingPoint(threshold=0.7))
    assert read_record(path).operating_point.threshold == 0.7
