import pytest
import torch
from monai.networks.nets import BasicUNet

from pipeline.networks import UNet, UNet3Plus, UNetPlusPlus
from pipeline.networks.output_weights import output_weights

FIVE = {"features": (2, 2, 2, 2, 2)}
HEADS = {
    "unet": (UNet, {"features": (2, 4, 4)}, {"head.0"}),
    "unet, deep supervision": (
        UNet,
        {"features": (2, 4, 4, 4, 4), "deep_supervision": True},
        {"head.0", "coarse_heads.0", "coarse_heads.1"},
    ),
    "unet, pixel unshuffle": (UNet, {"features": (2, 4), "pixel_unshuffle": 2}, {"head.0"}),
    "unet, extra convolutions": (UNet, {"features": (2, 4), "extra_head_convs": 2}, {"head.2"}),
    "unetpp, deep supervision": (UNetPlusPlus, {**FIVE, "deep_supervision": True}, {"heads"}),
    "unet3plus": (UNet3Plus, {**FIVE, "skip_channels": 2}, {"heads.0"}),
    "unet3plus, guided": (
        UNet3Plus,
        {**FIVE, "skip_channels": 2, "deep_supervision": True, "classification_guided": True},
        {"heads", "classifier"},
    ),
    "MONAI": (BasicUNet, {"features": (2, 2, 2, 2, 2, 2)}, {"final_conv"}),
}


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("network", "arguments", "heads"), HEADS.values(), ids=HEADS.keys())
def test_the_weights_of_the_output_are_those_of_the_heads(network, arguments, heads, dims):
    if dims == 3 and "pixel_unshuffle" in arguments:
        pytest.skip("of two dimensions")

    def make(channels):
        return network(spatial_dims=dims, in_channels=1, out_channels=channels, **arguments)

    names = output_weights(make)
    assert names
    assert all(any(name.startswith(f"{head}.") for head in heads) for name in names)
    found = {head for head in heads if any(name.startswith(f"{head}.") for name in names)}
    assert found == heads


def test_a_network_without_them_gives_what_it_has_learnt():
    """All that is left is the same for any number of labels."""
    names = output_weights(lambda k: UNet(2, 1, k, features=(2, 4)))
    one, nine = (UNet(2, 1, k, features=(2, 4)).state_dict() for k in (1, 9))
    kept = {name: one[name].shape for name in one if name not in names}
    assert kept == {name: nine[name].shape for name in nine if name not in names}
    assert isinstance(one["head.0.weight"], torch.Tensor)
