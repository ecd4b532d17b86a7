import pytest
import torch
from safetensors.torch import save_file

from pipeline.files import sha256
from pipeline.inference.operating_point import OperatingPoint
from pipeline.inference.trained_model import TrainedModel, read_record, save_model, write_record

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


def test_weights_are_recognised_in_either_file(tmp_path):
    """The record's hash is of the values: not of a file that another torch would write so."""
    weights = {"weight": torch.arange(3.0), "count": torch.tensor(2)}
    record = save_model(tmp_path / "model.pt", weights, **FIELDS)
    torch.save(weights, tmp_path / "model.pt", _use_new_zipfile_serialization=False)
    save_file(weights, tmp_path / "model.safetensors")
    for name in ("model.pt", "model.safetensors"):
        model = TrainedModel(tmp_path / name)
        assert model.record == record
        assert torch.equal(model.weights["weight"], weights["weight"])
    save_file({**weights, "weight": torch.ones(3)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"model\.json: belongs to other weights than model\.safe"):
        TrainedModel(tmp_path / "model.safetensors")


def test_an_older_record_has_the_hash_of_the_file(tmp_path):
    path = tmp_path / "model.pt"
    record = save_model(path, {"weight": torch.zeros(1)}, **FIELDS)
    write_record(path, record.model_copy(update={"sha256": sha256(path)}))
    model = TrainedModel(path)
    assert model.record == record
    model.store(OperatingPoint(threshold=0.7))
    assert read_record(path).sha256 == record.sha256


@pytest.mark.parametrize("content", [b"", b"junk", bytes(8) + b"{}", b"\x02" + bytes(7) + b"[]"])
@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_a_file_that_holds_no_weights_is_one_line(tmp_path, name, content):
    save_model(tmp_path / "model.pt", {"weight": torch.zeros(1)}, **FIELDS)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}: not a readable checkpoint"):
        TrainedModel(tmp_path / name)


def test_plain_values_are_no_weights(tmp_path):
    path = tmp_path / "model.pt"
    save_model(path, {"weight": torch.zeros(1)}, **FIELDS)
    torch.save({"weight": torch.zeros(1), "epoch": 3}, path)
    with pytest.raises(ValueError, match=r"not the weights of a model: epoch is a int; expected"):
        TrainedModel(path)
