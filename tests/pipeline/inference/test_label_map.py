"""The last step of postprocessing: probabilities become a label map."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import LoadImaged, NormalizeIntensityd

from pipeline.inference import OperatingPoint, Postprocessing, ToLabelMap, WatershedInstances
from pipeline.inference.file_voxels import SCALE, FileProbabilities
from pipeline.inference.label_map import image_transforms

ROW = torch.tensor([[[9.0, 9.0, -9.0, 9.0]], [[-9.0, 10.0, -9.0, -9.0]]])
"""Logits of two labels in a row of four pixels."""


def item_of(logits: torch.Tensor, scale: float = 1.0) -> dict:
    image = MetaTensor(
        torch.zeros(1, *logits.shape[1:]), affine=torch.diag(torch.tensor([3.0] * 4))
    )
    return {"image": image, "pred": FileProbabilities(logits), SCALE: scale}


def test_the_map_holds_large_numbers_and_lies_where_the_image_does():
    item = item_of(ROW)
    out = ToLabelMap(OperatingPoint(), {"caudate": 17, "insula": 1035})(item)
    assert out["pred"].numpy().dtype == np.uint16
    assert out["pred"].numpy().tolist() == [[[17, 1035, 0, 17]]]
    assert torch.equal(out["pred"].affine, item["image"].affine)
    assert torch.equal(out["probability"].maps, item["pred"].maps)
    assert "instances" not in out


def test_sizes_of_the_operating_point_are_those_of_the_files_pixels():
    point = OperatingPoint(postprocessing=Postprocessing(min_pixels=1))
    small, large = (ToLabelMap(point)(item_of(ROW[:1], scale)) for scale in (1.0, 2.0))
    assert small["pred"].tolist() == [[[1, 1, 0, 1]]]
    assert large["pred"].tolist() == [[[1, 1, 0, 0]]]


def test_instances_are_kept_beside_the_map():
    out = ToLabelMap(OperatingPoint(instances=WatershedInstances()), {"cell": 5})(item_of(ROW[:1]))
    assert out["pred"].tolist() == [[[5, 5, 0, 5]]]
    assert out["instances"].tolist() == [[1, 1, 0, 2]]


def test_instances_by_distances_are_kept_beside_the_map_and_the_distances_are_not():
    mask, distance = [9.0, 9.0, 9.0, 9.0], [9.0, -1.0, 9.0, -9.0]
    maps = FileProbabilities(torch.tensor([[mask], [distance]]))
    point = OperatingPoint(instances=WatershedInstances(seeds="distance"))
    item = {"image": MetaTensor(torch.zeros(1, 1, 4)), "pred": maps, SCALE: 1.0}
    out = ToLabelMap(point)(item)
    assert out["instances"].tolist() == [[1, 1, 2, 2]]
    assert len(out["probability"]) == 1
    with pytest.raises(ValueError, match="2 maps of the network; give one for each"):
        ToLabelMap(OperatingPoint())(item)


def test_labels_that_the_network_does_not_have_are_refused():
    with pytest.raises(ValueError, match="labels: found 1 names for 2 maps of the network"):
        ToLabelMap(OperatingPoint(), {"lung": 1})(item_of(ROW))


def test_masks_are_not_loaded_and_what_follows_stays_in_order():
    chain = [
        LoadImaged("image"),
        LoadImaged(["label", "instances"], allow_missing_keys=True),
        NormalizeIntensityd("image"),
        NormalizeIntensityd(["image", "label"], allow_missing_keys=True),
    ]
    kept = image_transforms(chain, 3)
    assert [kept[0], *kept[2:]] == [chain[0], *chain[2:]]
    assert kept[1]({"image": torch.zeros(4, 5, 6)})["image"].shape == (1, 4, 5, 6)
    assert kept[1]({"image": torch.zeros(2, 4, 5, 6)})["image"].shape == (2, 4, 5, 6)
