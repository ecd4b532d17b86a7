"""Networks that are compared are alike in all that each of them has."""

import re

import pytest
import torch
from monai.bundle import ConfigParser

from pipeline.comparing.networks import comparable_networks, left_out

NAMES = ["unet", "unetpp", "unet3plus"]
BY_AXIS = {
    "_target_": "pipeline.networks.UNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": "$len(@labels)",
    "features": [2, 4, 8],
    "norm": "instance",
    "act": "leaky_relu",
    "dropout": 0.5,
    "strides": [[2, 2, 1], [2, 2, 2]],
    "kernels": [[3, 3, 1], [3, 3, 3], [3, 3, 3]],
}


def made(definition):
    return ConfigParser({"labels": [1, 2], "network_def": definition}).get_parsed_content(
        "network_def"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_volume_with_two_labels_passes_every_network(name):
    definition = comparable_networks(BY_AXIS, NAMES)[name]
    network = made(definition).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 32, 32, 16)).shape == (1, 2, 32, 32, 16)


def test_what_is_planned_by_axis_is_kept_and_goes_on():
    networks = comparable_networks(BY_AXIS, NAMES)
    for definition in networks.values():
        assert definition["features"] == [2, 4, 8, 16, 32]
        assert definition["strides"] == [[2, 2, 1], [2, 2, 2], [2, 2, 2], [2, 2, 2]]
        assert len(definition["kernels"]) == 5
        assert (definition["norm"], definition["act"]) == ("instance", "leaky_relu")
        assert not made(definition).training or definition.get("dropout", 0) == 0
    assert networks["unet3plus"]["skip_channels"] == 2


def test_without_unet_3_plus_the_levels_are_the_bundles():
    networks = comparable_networks(BY_AXIS, ["unet", "unetpp"])
    assert {tuple(one["features"]) for one in networks.values()} == {(2, 4, 8)}
    assert networks["unet"]["strides"] == BY_AXIS["strides"]


def test_deep_supervision_and_the_like_are_left_out_and_named():
    own = {**BY_AXIS, "deep_supervision": True, "pixel_unshuffle": 2, "last_norm": False}
    assert left_out(own) == {"dropout": 0.5, "deep_supervision": True, "pixel_unshuffle": 2}
    for definition in comparable_networks(own, NAMES).values():
        assert not definition.keys() & {"deep_supervision", "pixel_unshuffle"}


def test_a_network_of_monai_gives_its_features():
    own = {"_target_": "BasicUNet", "features": [4, 8, 8, 8, 8, 4], "norm": ["batch", {}]}
    unet = comparable_networks(own, NAMES)["unet"]
    assert (unet["features"], unet["norm"]) == ([4, 8, 8, 8, 8], "batch")


@pytest.mark.parametrize(
    ("change", "names", "line"),
    [
        ({"features": None}, NAMES, "network_def#features: found None of UNet, expected numbers"),
        ({"features": [2] * 6}, NAMES, "network_def#features: found 6, and unet3plus has 5 levels"),
        ({}, ["unet", "vnet"], "vnet: no such network; expected two or more of unet, unetpp, "),
        ({}, ["unet", "unet"], "expected two or more of unet, unetpp, unet3plus, each once"),
    ],
)
def test_what_cannot_be_alike_is_refused(change, names, line):
    with pytest.raises(ValueError, match=re.escape(line)):
        comparable_networks({**BY_AXIS, **change}, names)
