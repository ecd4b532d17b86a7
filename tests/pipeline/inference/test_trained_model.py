import pytest
import torch

from pipeline.inference.operating_point import OperatingPoint
from pipeline.inference.trained_model import TrainedModel, read_record, save_model

WEIGHTS = {"weight": torch.zeros(2)}
FIELDS = {
    "bundle": "membranes",
    "run_name": "mine",
    "trained_on": ["a"],
    "chosen_on": [],
    "hashes": ["values"],
}


def test_the_text_of_a_record_is_plain(tmp_path):
    save_model(
        tmp_path / "model.pt", WEIGHTS, bundle="a\x1b[2J", run_name="b\n\u202e", tags={"c": "\r"}
    )
    record = read_record(tmp_path / "model.pt")
    assert (record.bundle, record.run_name) == (r"a\x1b[2J", r"b\n\u202e")
    assert record.tags == {"c": r"\r"}


def test_a_record_that_does_not_change_is_not_written(tmp_path):
    save_model(tmp_path / "model.pt", WEIGHTS, bundle="cells", operating_point=OperatingPoint())
    path = tmp_path / "model.json"
    path.write_text(path.read_text().replace("\n", " "))  # as another program writes it
    before = path.read_bytes()
    model = TrainedModel(tmp_path / "model.pt")
    model.store(model.operating_point)
    assert path.read_bytes() == before
    model.store(OperatingPoint(threshold=0.7))
    assert path.read_bytes() != before


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
