"""Masks of several labels, and how they are painted into one."""

import json
from dataclasses import astuple
from typing import ClassVar

import nibabel as nib
import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from monai.transforms import Compose
from PIL import Image

from pipeline.bundle.received import RECEIVED, Containment
from pipeline.data.label_numbers import all_numbers, labels_overlap
from pipeline.inference import (
    OperatingPoint,
    Postprocessing,
    ToFileVoxels,
    ToLabelMap,
    WritePredictions,
    writer,
)
from pipeline.inference.confidence import confidence
from pipeline.inference.label_masks import label_masks, painted
from pipeline.inference.operating_point import LabelOperatingPoint

PROBABILITY = np.array([[[0.9, 0.9, 0.9, 0.1]], [[0.1, 0.8, 0.8, 0.1]], [[0.2, 0.1, 0.7, 0.3]]])
HALF = LabelOperatingPoint(threshold=0.5)
BRATS = {"whole": [1, 2, 3], "core": [2, 3], "enhancing": 3}


def test_regions_are_painted_in_their_order():
    masks = label_masks(PROBABILITY, [HALF] * 3, overlapping=True)
    assert masks.sum((1, 2)).tolist() == [3, 2, 1]
    assert painted(masks, BRATS).tolist() == [[1, 2, 3, 0]]


def test_classes_exclude_each_other():
    masks = label_masks(PROBABILITY, [HALF] * 3)
    assert painted(masks, {"a": 1, "b": 2, "c": 3}).tolist() == [[1, 1, 1, 0]]


@pytest.mark.parametrize("labels", [{"a": 7, "b": 300, "c": 1}, BRATS])
@pytest.mark.parametrize("postprocessing", [Postprocessing(), Postprocessing(largest_only=True)])
def test_what_is_written_is_what_is_scored(labels, postprocessing):
    # in steps of 1/16, so that labels are equally probable somewhere
    probability = np.random.default_rng(0).integers(0, 17, (3, 40, 50)).astype(np.float32) / 16
    own = {list(labels)[1]: LabelOperatingPoint(threshold=0.7, postprocessing=postprocessing)}
    point = OperatingPoint(threshold=0.4, postprocessing=postprocessing, by_label=own)
    masks, _ = point.masks(probability, list(labels), labels_overlap(labels))
    written, _, confidences = point.painted(iter(probability), labels)
    np.testing.assert_array_equal(written, painted(masks, labels))
    expected = [confidence(*pair) for pair in zip(masks, probability, strict=True)]
    for own, reference in zip(confidences, expected, strict=True):
        assert astuple(own) == pytest.approx(astuple(reference))
    assert written.dtype == np.min_scalar_type(max(all_numbers(labels)))


def test_a_label_has_its_own_threshold_and_post_processing():
    """a: 0.6, 0.6, 0.2, 0.1; b: 0.35, 0.7, 0.35, 0.1."""
    probability = np.array([[[0.6, 0.6, 0.2, 0.1]], [[0.35, 0.7, 0.35, 0.1]]])
    low = {"b": LabelOperatingPoint(threshold=0.3)}
    masks, _ = OperatingPoint(by_label=low).masks(probability, ["a", "b"])
    assert masks[:, 0].astype(int).tolist() == [[1, 0, 0, 0], [0, 1, 1, 0]]
    overlapping, _ = OperatingPoint(by_label=low).masks(probability, ["a", "b"], overlapping=True)
    assert overlapping[:, 0].astype(int).tolist() == [[1, 1, 0, 0], [1, 1, 1, 0]]
    large = LabelOperatingPoint(threshold=0.3, postprocessing=Postprocessing(min_pixels=1))
    scaled = OperatingPoint(by_label={"b": large}).at(4.0)
    assert scaled.of_label("b").postprocessing.min_pixels == 4
    none, _ = scaled.masks(probability, ["a", "b"])
    assert none[:, 0].astype(int).tolist() == [[1, 1, 0, 0], [0, 0, 0, 0]]


def test_an_own_threshold_of_no_label_is_refused():
    point = OperatingPoint(by_label={"c": HALF})
    with pytest.raises(ValueError, match=r"'c' has a threshold of its own .*labels: a, b"):
        point.masks(PROBABILITY[:2], ["a", "b"])
    with pytest.raises(ValueError, match="labels: none"):
        point.painted(iter(PROBABILITY[:1]), {})


def test_of_equally_probable_labels_it_is_the_first():
    equal = np.full((2, 1, 1), 0.7)
    assert label_masks(equal, [HALF] * 2).ravel().tolist() == [True, False]


@pytest.mark.parametrize(
    ("number", "dtype"), [(255, np.uint8), (256, np.uint16), (1035, np.uint16), (65535, np.uint16)]
)
def test_large_numbers_are_16_bits(number, dtype):
    mask = painted(np.ones((2, 1, 1), bool), {"a": 17, "b": number})
    assert (mask.dtype, mask.item()) == (dtype, number)


def test_two_labels_of_one_first_number_are_refused(model):
    with pytest.raises(ValueError, match="labels b: found 2 as its first number, as of a"):
        WritePredictions("out", model, OperatingPoint(), labels={"a": [2, 3], "b": 2})


def test_a_label_whose_name_leads_elsewhere_is_refused(model):
    with pytest.raises(ValueError, match=r"labels: the name '\.\./x'; expected letters"):
        WritePredictions("out", model, labels={"../x": 1, "b": 2})


def test_a_received_bundle_writes_below_its_places_and_its_archive_is_reported(
    model, tmp_path, monkeypatch
):
    record = {"sender": "mayo", "archive_sha256": "ab", "manifest_sha256": "cd", "received": ""}
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / RECEIVED).write_text(json.dumps(record), "utf-8")
    limits = Containment(tmp_path / "bundle", (tmp_path / "out",))
    monkeypatch.setattr(writer, "containment", lambda: limits)
    own = WritePredictions(str(tmp_path / "out"), model)
    assert own.report.settings["received_archive_sha256"] == "ab"
    with pytest.raises(ValueError, match="outside the received bundle"):
        own.files._save("mask", "../../canary", np.zeros((2, 2)), lambda path, array: path.touch())
    with pytest.raises(ValueError, match="--output_dir: found /etc, outside"):
        WritePredictions("/etc", model)


@pytest.fixture
def model():
    class Model:
        operating_point = OperatingPoint()
        path = "model.pt"

        class record:  # noqa: N801 - stands for a TrainedModel
            sha256 = ""
            operating_point = OperatingPoint()
            expected_dice: ClassVar = {}

    return Model()


def written(tmp_path, model, image, labels, logits):
    """Write the prediction of one image, and return its mask's file."""
    writer = WritePredictions(str(tmp_path / "out"), model, labels=labels)
    pixels = MetaTensor(torch.zeros(1, *logits.shape[1:]), affine=torch.eye(4))
    pixels.meta["filename_or_obj"] = str(image)
    item = {"image": pixels, "pred": logits}
    for step in (ToFileVoxels(Compose([])), ToLabelMap(model.operating_point, labels)):
        item = step(item)
    engine = Engine(lambda engine, batch: [item])
    writer.attach(engine)
    engine.state.device = "cpu"
    engine.run([0])
    return tmp_path / "out" / "mask" / image.name


FREESURFER = {"caudate": 17, "insula": 1035}


def test_a_picture_holds_17_and_1035(tmp_path, model):
    Image.fromarray(np.zeros((1, 3), np.uint8)).save(tmp_path / "a.png")
    logits = torch.tensor([[[9.0, -9, -9]], [[-9.0, 9, -9]]])
    path = written(tmp_path, model, tmp_path / "a.png", FREESURFER, logits)
    assert np.asarray(Image.open(path)).tolist() == [[17, 1035, 0]]


def test_a_volume_holds_17_and_1035(tmp_path, model):
    image = tmp_path / "a.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((3, 1, 1), np.float32), np.eye(4)), image)
    logits = torch.tensor([[[[9.0]], [[-9.0]], [[-9.0]]], [[[-9.0]], [[9.0]], [[-9.0]]]])
    mask = nib.load(written(tmp_path, model, image, FREESURFER, logits))
    assert mask.get_data_dtype() == np.uint16
    assert np.asarray(mask.dataobj).ravel().tolist() == [17, 1035, 0]


@pytest.mark.parametrize(("labels", "value"), [({"a": 1}, 255), ({"a": 2}, 2), ({"a": 300}, 300)])
def test_one_label_is_written_with_its_number(tmp_path, model, labels, value):
    Image.fromarray(np.zeros((1, 2), np.uint8)).save(tmp_path / "a.png")
    path = written(tmp_path, model, tmp_path / "a.png", labels, torch.tensor([[[9.0, -9]]]))
    assert np.asarray(Image.open(path)).tolist() == [[value, 0]]
    assert not (tmp_path / "out" / "probability").exists()
