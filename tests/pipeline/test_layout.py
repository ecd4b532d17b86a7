import pytest
import torch

from pipeline.inference.engine import in_engine
from pipeline.layout import on_device
from pipeline.networks import UNet


def network(spatial_dims):
    return UNet(spatial_dims, 1, 1, features=[4, 8, 8], norm="batch")


def channels_are_last(network):
    weights = [
        weight for weight in network.parameters() if weight.ndim > 3 and min(weight.shape) > 1
    ]
    return {weight.stride(1) == 1 for weight in weights}


@pytest.mark.parametrize(
    ("spatial_dims", "precision", "expected"),
    [(2, "float32", True), (2, "bfloat16", True), (3, "float32", False), (3, "bfloat16", True)],
)
def test_channels_are_last_where_that_is_faster(spatial_dims, precision, expected):
    assert channels_are_last(on_device(network(spatial_dims), "cpu", precision)) == {expected}


def test_an_engine_in_bfloat16_leaves_the_layout_of_the_network():
    volumes = on_device(network(3), "cpu").eval()
    in_bfloat16 = in_engine(volumes, "bfloat16", "cpu")
    assert channels_are_last(volumes) == {False}
    assert channels_are_last(in_bfloat16) == {True}
    images = torch.rand(1, 1, 8, 8, 8)
    assert torch.allclose(in_bfloat16(images), volumes(images), atol=0.05)
