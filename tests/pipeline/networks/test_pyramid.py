"""Strides and kernels by axis, in every network."""

import pytest
import torch
from torch import nn

from pipeline.networks import UNet, UNet3Plus, UNetPlusPlus, feature_maps

THREE_LEVELS, FIVE_LEVELS = (2, 3, 4), (2, 3, 4, 5, 6)
DEEP = {"deep_supervision": True}
NETWORKS = {
    "unet": (UNet, {"features": THREE_LEVELS, "dropout": 0.0}),
    "unet, linear": (UNet, {"features": THREE_LEVELS, "dropout": 0.0, "upsample": "linear"}),
    "unet++": (UNetPlusPlus, {"features": THREE_LEVELS} | DEEP),
    "unet 3+": (UNet3Plus, {"features": FIVE_LEVELS, "skip_channels": 2} | DEEP),
}
THICK = {"strides": [[2, 2, 1], [2, 2, 2]], "kernels": [[3, 3, 1], [3, 3, 3], [3, 3, 3]]}


@pytest.fixture(params=NETWORKS.values(), ids=NETWORKS.keys())
def kind(request):
    return request.param


def network(kind, spatial_dims, **more):
    build, arguments = kind
    torch.manual_seed(0)
    return build(spatial_dims, 1, 1, **arguments, **more)


def pyramid(kind, stride, kernel):
    levels = len(kind[1]["features"])
    return {"strides": [stride] * (levels - 1), "kernels": [kernel] * levels}


def thick(kind):
    """Slices that are pooled and convolved across from the second level on."""
    arguments = pyramid(kind, [2, 2, 2], [3, 3, 3])
    arguments["strides"][0], arguments["kernels"][0] = [2, 2, 1], [3, 3, 1]
    return arguments


def parameters(module):
    return sum(weight.numel() for weight in module.parameters())


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_strides_of_two_and_kernels_of_three_are_the_default_bit_for_bit(kind, spatial_dims):
    default = network(kind, spatial_dims)
    twos, threes = [2] * spatial_dims, [3] * spatial_dims
    explicit = network(kind, spatial_dims, **pyramid(kind, twos, threes))
    for (name, weight), (other, same) in zip(
        default.state_dict().items(), explicit.state_dict().items(), strict=True
    ):
        assert name == other
        assert torch.equal(weight, same)
    image = torch.randn(1, 1, *(37, 20, 18)[:spatial_dims])
    with torch.no_grad():
        assert torch.equal(default.eval()(image), explicit.eval()(image))


def test_slices_that_nothing_joins_are_those_of_the_flat_network(kind):
    """Strides and kernels of 1 across the slices: each slice is an image by itself."""
    volumes = network(kind, 3, **pyramid(kind, [2, 2, 1], [3, 3, 1])).eval()
    flat = network(kind, 2).eval()
    flat.load_state_dict(
        {k: v.squeeze(-1) if v.dim() == 5 else v for k, v in volumes.state_dict().items()}
    )
    image = torch.randn(1, 1, 37, 42, 3)
    with torch.no_grad():
        slices = torch.stack([flat(image[..., i]) for i in range(3)], dim=-1)
        torch.testing.assert_close(volumes(image), slices, rtol=1e-4, atol=1e-5)


def test_the_parameters_of_thick_slices():
    """Two levels of 2 and 3 filters; the first convolves and is pooled within the slices alone."""
    levels = {"features": (2, 3), "strides": [[2, 2, 1]], "kernels": [[3, 3, 1], [3, 3, 3]]}
    encoder = (1 * 2 * 9 + 2) + (2 * 2 * 9 + 2)
    bottleneck = (2 * 3 * 27 + 3) + (3 * 3 * 27 + 3)
    up = 3 * 2 * 4 + 2  # 2 x 2 x 1
    decoder = (4 * 2 * 9 + 2) + (2 * 2 * 9 + 2)
    expected = encoder + bottleneck + up + decoder + 2 + 1  # and the 1 x 1 x 1 head
    assert parameters(UNet(3, 1, 1, **levels)) == expected
    assert parameters(UNetPlusPlus(3, 1, 1, **levels)) == expected


def test_the_parameters_of_a_node_of_unet_3_plus_follow_its_scale():
    full = UNet3Plus(
        3, 1, 1, FIVE_LEVELS, 2, None, strides=[[2, 2, 1]] * 4, kernels=[[3, 3, 1]] + [[3] * 3] * 4
    )
    first, second, *_ = full.decoder
    assert parameters(first.branches) == 9 * 2 * (2 + 10 + 10 + 10 + 6) + 5 * 2
    assert parameters(first.fusion) == 9 * 10 * 10 + 10
    assert parameters(second.branches) == 27 * 2 * (2 + 3 + 10 + 10 + 6) + 5 * 2
    assert parameters(full.heads) == 9 * 10 + 1


@pytest.mark.parametrize("sides", [(33, 29, 5), (7, 40, 1)])
def test_odd_sides_come_out_as_they_went_in(kind, sides):
    with torch.no_grad():
        output = network(kind, 3, **thick(kind))(torch.randn(1, 1, *sides))
    heads = output if isinstance(output, list) else [output]
    assert {tuple(head.shape) for head in heads} == {(1, 1, *sides)}


def test_maps_shrink_along_the_pooled_axes_alone():
    unet = UNet(3, 1, 1, THREE_LEVELS, **THICK)
    image = torch.randn(1, 1, 16, 20, 6)
    maps = feature_maps(unet, image, ["encoder1", "encoder2", "bottleneck", "decoder2"])
    sides = {name: tuple(features.shape[2:]) for name, features in maps.items()}
    assert sides == {
        "encoder1": (16, 20, 6),
        "encoder2": (8, 10, 6),
        "bottleneck": (4, 5, 3),
        "decoder2": (8, 10, 6),
    }
    assert unet.multiples == [4, 4, 2]


def test_a_first_kernel_of_another_size_keeps_off_the_axis_that_is_not_convolved():
    unet = UNet(3, 1, 1, THREE_LEVELS, first_kernel_size=5, **THICK)
    first, second = unet.encoder[0].units
    assert first.convolution.kernel_size == (5, 5, 1)
    assert second.convolution.kernel_size == (3, 3, 1)


def test_a_training_step_moves_every_weight_and_lowers_the_loss(kind):
    trained = network(kind, 3, **thick(kind))
    before = [weight.clone() for weight in trained.parameters()]
    image = torch.randn(2, 1, 32, 32, 16)
    mask = (image > 0).float()
    optimiser = torch.optim.Adam(trained.parameters(), 1e-3)
    losses = []
    for _ in range(3):
        output = trained(image)
        heads = output if isinstance(output, list) else [output]
        loss = sum(nn.functional.binary_cross_entropy_with_logits(head, mask) for head in heads)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[2] < losses[0]
    assert all(
        weight.isfinite().all() and not torch.equal(weight, first)
        for weight, first in zip(trained.parameters(), before, strict=True)
    )


def test_pruned_is_bit_equal_to_its_head():
    full = UNetPlusPlus(3, 1, 1, THREE_LEVELS, **THICK, **DEEP).eval()
    image = torch.randn(1, 1, 18, 21, 5)
    with torch.no_grad():
        full.evaluation_head = 1
        assert torch.equal(full.pruned(1)(image), full(image))


def test_strides_that_do_not_fit_are_refused_in_one_line(kind):
    build = kind[0].__name__
    levels = len(kind[1]["features"])
    wrong = {
        "strides": [[[2, 2, 1]], [[2, 2]] * (levels - 1), [[2, 2, 4]] * (levels - 1), 2],
        "kernels": [[[3, 3, 1]] * (levels - 1), [[3, 3, 5]] * levels, [[3, 3, True]] * levels],
    }
    for argument, values in wrong.items():
        count = levels - (argument == "strides")
        for value in values:
            message = rf"^{build} {argument}: found .*, expected {count} lists, .*of 3 numbers each"
            with pytest.raises(ValueError, match=message) as error:
                network(kind, 3, **{argument: value})
            assert "\n" not in str(error.value)


def test_unpadded_convolutions_take_no_strides_by_axis():
    with pytest.raises(ValueError, match=r"^UNet padding: found 'valid' with strides .*same"):
        UNet(3, 1, 1, THREE_LEVELS, padding="valid", **THICK)
    same = UNet(2, 1, 1, THREE_LEVELS, padding="valid", strides=[[2, 2]] * 2, kernels=[[3, 3]] * 3)
    assert same.output_side(188) == UNet(2, 1, 1, THREE_LEVELS, padding="valid").output_side(188)
