import shutil

import pytest
import torch
from safetensors.torch import save_file

from pipeline.files import sha256
from pipeline.inference.operating_point import LabelOperatingPoint, OperatingPoint, SelectedBy
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


def test_a_threshold_that_nobody_chose_is_said_with_the_command_that_chooses_it(tmp_path, capsys):
    (tmp_path / "mine" / "configs").mkdir(parents=True)
    (tmp_path / "mine" / "configs" / "train.yaml").touch()
    path = tmp_path / "mine" / "models" / "model.pt"
    save_model(path, WEIGHTS, **FIELDS)
    model = TrainedModel(path)
    assert model.operating_point_with(threshold=0.3).threshold == 0.3
    assert capsys.readouterr().out == ""
    assert model.operating_point_with().threshold == 0.5
    assert capsys.readouterr().out == (
        f"{path}: no threshold was chosen for these weights, so that it is 0.5; choose it on "
        f"validation: unet-school evaluate {tmp_path / 'mine'} --run mine\n"
    )
    selected = OperatingPoint(threshold=0.7, selected_by=SelectedBy(metric="iou", split="test"))
    model.store(selected)
    assert model.operating_point_with() == selected
    assert model.operating_point_with(threshold=0.3).selected_by is None
    own = OperatingPoint(by_label={"a": LabelOperatingPoint(threshold=0.7)})
    model.store(own)
    assert model.operating_point_with().of_label("a").threshold == 0.7
    assert model.operating_point_with(threshold=0.3).of_label("a").threshold == 0.3
    assert capsys.readouterr().out == ""


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


@pytest.mark.parametrize("evaluated", ["model.pt", "run/model.pt"])
def test_the_copies_of_weights_share_their_operating_point(tmp_path, evaluated):
    models = tmp_path / "models"
    places = [models / name / "model.pt" for name in ("", "run", "the same again")]
    others = [models / name / "model.pt" for name in ("other", "broken")]
    for path in (*places, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        value = 0.0 if path in places else 1.0
        save_model(path, {"weight": torch.full((2,), value)}, **FIELDS)
    others[1].with_suffix(".json").write_text("junk")
    TrainedModel(models / evaluated).store(OperatingPoint(threshold=0.7))
    for path in places:
        assert TrainedModel(path).operating_point.threshold == 0.7
        assert read_record(path).run_name == "mine"
    assert read_record(others[0]).operating_point is None


def test_an_older_copy_with_the_hash_of_the_file_is_one_too(tmp_path):
    paths = [tmp_path / "model.pt", tmp_path / "run" / "model.pt"]
    paths[1].parent.mkdir()
    record = save_model(paths[0], WEIGHTS, **FIELDS)
    shutil.copy(paths[0], paths[1])
    for path in paths:
        write_record(path, record.model_copy(update={"sha256": sha256(path)}))
    TrainedModel(paths[1]).store(OperatingPoint(threshold=0.7))
    assert TrainedModel(paths[0]).operating_point.threshold == 0.7


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
