import pytest
import torch
from monai.networks.nets import BasicUNet
from torch import nn

from pipeline.networks import (
    Ensemble,
    UNet,
    UNet3Plus,
    UNetPlusPlus,
    bottleneck_of,
    feature_maps,
)

UNET_NAMES = (
    *("encoder1", "encoder2", "encoder3", "encoder4", "bottleneck"),
    *("decoder4", "decoder3", "decoder2", "decoder1"),
)
NARROW = (2, 3, 4, 5, 6)


@pytest.mark.parametrize(
    ("network", "names", "shapes"),
    [
        (
            UNet(2, 1, 1, NARROW),
            UNET_NAMES,
            {"encoder1": (2, 32), "bottleneck": (6, 2), "decoder4": (5, 4), "decoder1": (2, 32)},
        ),
        (
            UNet3Plus(2, 1, 1, NARROW, skip_channels=2),
            UNET_NAMES,
            {"encoder2": (3, 16), "bottleneck": (6, 2), "decoder4": (10, 4), "decoder1": (10, 32)},
        ),
        (
            UNetPlusPlus(2, 1, 1, (2, 3, 4)),
            ("x0_0", "x1_0", "x0_1", "x2_0", "x1_1", "x0_2"),
            {"x0_0": (2, 32), "x2_0": (4, 8), "x1_1": (3, 16), "x0_2": (2, 32)},
        ),
    ],
)
def test_every_named_map(network, names, shapes):
    assert network.feature_names == names
    maps = feature_maps(network, torch.randn(2, 1, 32, 32), names)
    assert tuple(maps) == names
    for name, (channels, side) in shapes.items():
        assert tuple(maps[name].shape) == (2, channels, side, side)


def test_the_last_map_leads_to_the_logits():
    network = UNet(2, 1, 1, (2, 3, 4)).eval()
    image = torch.randn(1, 1, 32, 32)
    last = feature_maps(network, image, ["decoder1"])["decoder1"]
    assert torch.equal(network.head(last), network(image))


def test_nothing_is_left_behind():
    network = UNet(2, 1, 1, (2, 3, 4), norm="batch").train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    maps = feature_maps(network, torch.randn(2, 1, 32, 32), ["bottleneck"])
    assert network.training
    assert not maps["bottleneck"].requires_grad
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


def test_an_unknown_name_lists_the_existing_ones():
    network = UNet(2, 1, 1, (2, 3))
    message = r"^feature_maps names: found 'latent'.*UNet; ask for some of encoder1, bottleneck, d"
    with pytest.raises(ValueError, match=message) as error:
        feature_maps(network, torch.zeros(1, 1, 8, 8), ["encoder1", "latent"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "network", [UNet(2, 2, 1, (2, 3)), UNetPlusPlus(2, 2, 1, (2, 3)), UNet3Plus(2, 2, 1, NARROW, 1)]
)
@pytest.mark.parametrize("shape", [(1, 3, 16, 16), (2, 16, 16), (1, 2, 8, 8, 8)])
def test_an_image_of_another_shape_is_refused_in_one_line(network, shape):
    expected = r"expected \(batch, 2, height, width\)"
    with pytest.raises(ValueError, match=f"^{type(network).__name__} image: .*{expected}") as error:
        network(torch.zeros(shape))
    assert "\n" not in str(error.value)


def test_a_basic_unet_has_the_names_of_our_unet():
    network = BasicUNet(2, 1, 1, features=(2, 3, 4, 5, 6, 2), norm="batch")
    maps = feature_maps(network, torch.randn(1, 1, 32, 32), UNET_NAMES)
    of_unet = feature_maps(UNet(2, 1, 1, NARROW), torch.randn(1, 1, 32, 32), UNET_NAMES)
    same_sides = {name: maps[name].shape[2:] == of_unet[name].shape[2:] for name in UNET_NAMES}
    assert all(same_sides.values()), same_sides


@pytest.mark.parametrize(
    ("network", "name", "channels"),
    [
        (UNet(2, 1, 1, NARROW), "bottleneck", 5),
        (UNet3Plus(2, 1, 1, NARROW, skip_channels=2), "bottleneck", 5),
        (UNetPlusPlus(2, 1, 1, NARROW), "x4_0", 5),
        (BasicUNet(2, 1, 1, features=(2, 3, 4, 5, 6, 2)), "bottleneck", 5),
    ],
)
def test_what_enters_the_bottleneck_is_pooled_four_times(network, name, channels):
    assert bottleneck_of(network) == name
    entering = feature_maps(network, torch.randn(1, 1, 32, 32), [name], inputs=True)[name]
    assert tuple(entering.shape) == (1, channels, 2, 2)


def test_of_another_network_the_bottleneck_has_to_be_named():
    network = nn.Sequential(nn.Conv2d(1, 1, 3))
    message = r"Sequential: found no step named bottleneck; name the step .* one of 0"
    with pytest.raises(ValueError, match=message):
        bottleneck_of(network)


def test_a_part_that_does_not_run_is_named():
    network = nn.Sequential(nn.Conv2d(1, 1, 3))
    network[0].idle = nn.ReLU()
    with pytest.raises(ValueError, match=r"'0\.idle' takes no part in an inference; ask for"):
        feature_maps(network, torch.zeros(1, 1, 8, 8), ["0.idle"])


def test_what_enters_a_decoder_is_the_skip_and_the_upsampled_map():
    network = UNet(2, 1, 1, (2, 3, 4)).eval()
    image = torch.randn(1, 1, 16, 16)
    skip = feature_maps(network, image, ["encoder1"])["encoder1"]
    below = feature_maps(network, image, ["decoder2"])["decoder2"]
    entering = feature_maps(network, image, ["decoder1"], inputs=True)["decoder1"]
    assert torch.equal(entering, torch.cat([skip, network.upsample[0](below)], 1))


def test_the_network_runs_no_further_than_needed():
    network = UNet(2, 1, 1, (2, 3, 4))
    network.head.register_forward_pre_hook(lambda *_: pytest.fail("ran to its end"))
    assert set(feature_maps(network, torch.zeros(1, 1, 16, 16), ["bottleneck"])) == {"bottleneck"}


def test_an_activation_in_place_does_not_change_a_map():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True))
    image = torch.randn(1, 1, 8, 8)
    assert torch.equal(feature_maps(network, image, ["0"])["0"], network[0](image))


def test_an_ensemble_is_explained_by_its_first_member():
    members = [UNet(2, 1, 1, (2, 3)), UNet(2, 1, 1, (2, 3))]
    image = torch.randn(1, 1, 8, 8)
    first = feature_maps(members[0], image, ["bottleneck"])["bottleneck"]
    assert bottleneck_of(Ensemble(members)) == "bottleneck"
    assert torch.equal(feature_maps(Ensemble(members), image, ["bottleneck"])["bottleneck"], first)
