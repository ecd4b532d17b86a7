import pytest
import torch
from torch import nn

from pipeline.networks import UNet, feature_maps
from pipeline.networks.blocks import ConvolutionUnit, Style
from tests.pipeline.networks.paper_networks import (
    ANDERSEN,
    ERICKSON_CAI,
    MANE_MITTAL,
    RONNEBERGER,
)

FIVE_LEVELS = (1, 1, 1, 1, 1)


def positive(network):
    """Weights under which every output grows with every input it can see."""
    for weight in network.parameters():
        weight.data = weight.data.abs() + 0.1
    return network.eval()


@pytest.mark.parametrize(
    ("arguments", "side", "expected"),
    [
        (RONNEBERGER, 572, 388),
        (RONNEBERGER, 700, 516),
        (RONNEBERGER, 188, 4),  # the smallest: 16 b + 60 to 16 b - 124 with b = 8
        (MANE_MITTAL, 700, 512),
    ],
)
def test_unpadded_sizes_of_the_papers(arguments, side, expected):
    with torch.device("meta"):
        network = UNet(**{"spatial_dims": 2, "in_channels": 1, "out_channels": 1} | arguments)
        assert network.output_side(side) == expected
        assert network(torch.zeros(1, 1, side, side)).shape[2:] == (expected, expected)


@pytest.mark.parametrize("first_kernel_size", [3, 5])
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_the_announced_side_is_the_one_that_comes_out(spatial_dims, first_kernel_size):
    network = UNet(
        spatial_dims, 1, 1, (1, 1, 1), padding="valid", first_kernel_size=first_kernel_size
    )
    fitting = 0
    for side in range(46, 66):
        try:
            expected = network.output_side(side)
        except ValueError:
            continue
        fitting += 1
        assert network(torch.zeros(1, 1, *[side] * spatial_dims)).shape[-1] == expected
    assert fitting == 5  # every fourth of twenty


def test_a_side_that_does_not_fit_names_the_nearest_that_do():
    network = UNet(2, 1, 1, FIVE_LEVELS, padding="valid")
    with pytest.raises(ValueError, match=r"^UNet image: found a side of 570.*use 556 or 572") as e:
        network(torch.zeros(1, 1, 572, 570))
    assert "\n" not in str(e.value)
    with pytest.raises(ValueError, match="use 188, or padding: same"):
        network(torch.zeros(1, 1, 64, 64))


def test_receptive_field():
    """Each output sees 188 or 204 pixels, as its place on the pooling grid has it.

    Two unpadded 3 x 3 convolutions widen the view by 4 at every level. Below a transposed 2 x 2
    convolution n pixels need n / 2, one more where they start off the grid:
    1 + 4 = 5, 3 + 4 = 7, 4 + 4 = 8, (4 or 5) + 4 = 8 or 9, and (4 or 5) + 4 = 8 or 9 at the bottom.
    Above a pooling n pixels are 2 n, so from 8: 16 + 4 = 20, 44, 92, 184 + 4 = 188; from 9: 204.
    """
    network = positive(UNet(2, 1, 1, FIVE_LEVELS, padding="valid")).double()
    side = 220
    base = torch.rand(1, 1, side, 188, dtype=torch.float64)
    with torch.no_grad():
        before = network(base)[0, 0, :, 0]
        reach = []
        for pixel in range(side):
            touched = base.clone()
            touched[..., pixel, 94] += 1e30  # outweighs the thinnest path from the rim
            reach.append(network(touched)[0, 0, :, 0] > before)
    seen = torch.stack(reach)  # (input pixel, output pixel)
    widths = set()
    for output in range(before.numel()):
        pixels = seen[:, output].nonzero().flatten()
        widths.add(int(pixels[-1] - pixels[0]) + 1)
    assert widths == {188, 204}


def test_shift_by_the_pooling_multiple_shifts_the_logits_exactly():
    torch.manual_seed(0)
    network = UNet(2, 1, 1, (2, 3, 4), padding="valid").eval()
    image = torch.randn(1, 1, 60, 68)
    with torch.no_grad():
        whole = network(image)
        shifted = network(image[..., 4:, 8:])
    torch.testing.assert_close(whole[..., 4:, 8:], shifted)


def test_a_shift_off_the_pooling_grid_is_another_matter():
    torch.manual_seed(0)
    network = UNet(2, 1, 1, (2, 3, 4), padding="valid").eval()
    image = torch.randn(1, 1, 64, 60)
    with torch.no_grad():
        whole, shifted = network(image[..., :60, :]), network(image[..., 2:62, :])
    assert not torch.allclose(whole[..., 2:, :], shifted[..., :-2, :], atol=1e-3)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_padded_and_unpadded_agree_where_the_border_is_out_of_sight(padding):
    torch.manual_seed(0)
    same = UNet(2, 1, 1, (2, 3), padding="same").eval()
    valid = UNet(2, 1, 1, (2, 3), padding="valid").eval()
    valid.load_state_dict(same.state_dict())
    image = torch.randn(1, 1, 40, 40)
    margin = (40 - valid.output_side(40)) // 2
    with torch.no_grad():
        torch.testing.assert_close(
            same(image)[..., margin:-margin, margin:-margin], valid(image), rtol=1e-4, atol=1e-5
        )


def test_dropout_sits_at_the_end_of_the_contracting_path_alone():
    rates = {
        name: module.p
        for name, module in UNet(2, 1, 1, FIVE_LEVELS).named_modules()
        if isinstance(module, nn.Dropout) and module.p
    }
    assert rates == {"encoder.3.dropout": 0.5, "bottleneck.dropout": 0.5}


def test_andersen_normalises_after_the_activation_and_activates_the_upsampled_map():
    with torch.device("meta"):
        network = UNet(2, 1, 1, **ANDERSEN)
        assert network.encoder[0].units[0].order == "conv-act-norm"
        assert isinstance(network.upsample[0][1], nn.ReLU)
        image = torch.zeros(1, 1, 512, 512)
        bottleneck_input = network.pools[3](feature_maps(network, image, ["encoder4"])["encoder4"])
    assert bottleneck_input.shape == (1, 256, 32, 32)
    assert len(network.feature_names) == 9


@pytest.mark.parametrize("order", ["conv-norm-act", "conv-act-norm"])
def test_order_of_a_unit(order):
    torch.manual_seed(0)
    unit = ConvolutionUnit(Style(2, norm="batch", order=order), (2,), 3)
    output = unit(torch.randn(4, 2, 8, 8))
    assert bool((output < 0).any()) == (order == "conv-act-norm")
    mean = output.mean(dim=(0, 2, 3))
    assert torch.allclose(mean, torch.zeros(3), atol=1e-5) == (order == "conv-act-norm")


def test_layer_norm_is_per_sample_and_learns_nothing():
    torch.manual_seed(0)
    unit = ConvolutionUnit(Style(2, norm="layer"), (1,), 4)
    unit.activation = nn.Identity()
    output = unit(torch.randn(3, 1, 16, 16) * torch.tensor([1.0, 10.0, 100.0])[:, None, None, None])
    samples = output.flatten(1)
    torch.testing.assert_close(samples.mean(1), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(samples.std(1, correction=0), torch.ones(3), atol=1e-3, rtol=0)
    assert not list(unit.norm.parameters())


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_maps_side_by_side_convolve_as_their_concatenation(spatial_dims):
    torch.manual_seed(0)
    unit = ConvolutionUnit(Style(spatial_dims), (2, 3, 1), 4).double()
    maps = [torch.randn(2, c, *[6] * spatial_dims, dtype=torch.float64) for c in (2, 3, 1)]
    expected = torch.relu(unit.convolution(torch.cat(maps, dim=1)))
    torch.testing.assert_close(unit(maps), expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_unpadded_convolutions_as_torchscript():
    small = MANE_MITTAL | {"features": (2, 3, 4), "dropout": 0.0}
    network = UNet(2, 1, 1, **small).eval()
    image = torch.randn(1, 1, 76, 92)
    with torch.no_grad():
        assert torch.equal(torch.jit.script(network)(image), network(image))


def test_the_contracting_path_alone_is_normalised():
    """Erickson and Cai: normalisation lies between a convolution and the pooling after it."""
    network = UNet(2, 1, 1, **ERICKSON_CAI)
    normalised = [n for n, m in network.named_modules() if isinstance(m, nn.GroupNorm)]
    assert normalised == [f"encoder.{level}.units.0.norm" for level in range(5)]
    assert not any(isinstance(m, nn.ReLU) for m in list(network.head))


def test_linear_upsampling_doubles_the_side_between_the_pixels():
    network = UNet(2, 1, 1, (1, 1), upsample="linear")
    up = network.upsample[0]
    up[0][0].weight.data.fill_(1.0)
    row = torch.tensor([[[[0.0, 4.0]]]])
    assert up(row)[0, 0, 0].tolist() == [0.0, 1.0, 3.0, 4.0]


def test_pixel_unshuffle_gives_every_pixel_of_a_square_its_own_logit():
    """A network whose convolutions all pass on their centre returns each pixel as it was."""
    network = UNet(2, 1, 1, (4, 4), pixel_unshuffle=2, dropout=0.0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.dirac_(module.weight)  # the decoder's first four channels are the skip's
    image = torch.rand(1, 1, 6, 10)
    assert torch.allclose(network(image), image, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pixel_unshuffle": 3}, r"^pixel_unshuffle: found 3, expected one of 1, 2, 4"),
        (
            {"pixel_unshuffle": 2, "spatial_dims": 3},
            r"^pixel_unshuffle: found 2, expected one of 1;",
        ),
        (
            {"pixel_unshuffle": 2, "padding": "valid"},
            r"^pixel_unshuffle: found 2, expected one of 1;",
        ),
        ({"features": (8,)}, r"^UNet features: found 1 in \(8,\), expected at least 2"),
        ({"norm": "bach"}, r"^norm: found 'bach', expected one of None, 'batch'"),
        ({"act": "rely"}, r"^act: found 'rely', expected one of 'relu'"),
        ({"padding": "reflect"}, r"^padding: found 'reflect', expected one of 'same', 'valid'"),
        ({"upsample": "cubic"}, r"^upsample: found 'cubic'"),
        ({"block_order": "act-conv"}, r"^block_order: found 'act-conv'"),
        ({"first_kernel_size": 4}, r"^first_kernel_size: found 4"),
        ({"spatial_dims": 1}, r"^spatial_dims: found 1, expected one of 2, 3"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        UNet(**{"spatial_dims": 2, "in_channels": 1, "out_channels": 1} | arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("levels", [2, 3, 4, 5])
def test_every_decoder_level_but_the_coarsest_is_supervised(levels):
    network = UNet(2, 1, 1, (2,) * levels, deep_supervision=True)
    assert len(network(torch.zeros(1, 1, 32, 32))) == max(1, levels - 2)


def test_heads_change_neither_the_first_weights_nor_the_logits():
    networks = []
    for deep in (False, True):
        torch.manual_seed(0)
        networks.append(UNet(2, 1, 2, (2, 3, 4, 5), dropout=0.0, deep_supervision=deep))
    image = torch.randn(1, 1, 24, 20)
    assert torch.equal(networks[0](image), networks[1](image)[0])
    assert torch.equal(networks[0].eval()(image), networks[1].eval()(image))


@pytest.mark.parametrize(("padding", "side"), [("same", 64), ("valid", 94)])
def test_a_coarse_head_answers_at_the_place_of_the_finest(padding, side):
    """A spot moves all heads' logits at one place: a head out of place would learn other labels."""
    network = UNet(2, 1, 1, (1, 1, 1, 1), padding=padding, convs_per_level=1, deep_supervision=True)
    network = network.double()
    for weight in network.parameters():
        weight.data.fill_(1)  # the same to both sides
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    image = torch.zeros(1, 1, side, side, dtype=torch.float64)
    spot = image.clone()
    spot[..., side // 2 - 8 : side // 2 + 8, side // 2 - 8 : side // 2 + 8] = 1
    with torch.no_grad():
        heads = [
            (lit - dark)[0, 0] for lit, dark in zip(network(spot), network(image), strict=True)
        ]
    assert len({head.shape for head in heads}) == 1
    middle = (heads[0].shape[0] - 1) / 2
    for head in heads:
        weights = head.sum(dim=1) / head.sum()
        assert (weights * torch.arange(len(weights))).sum().item() == pytest.approx(middle)


def test_a_coarse_head_is_the_interpolated_map_of_its_level():
    torch.manual_seed(0)
    network = UNet(2, 1, 1, (2, 3, 4, 5), dropout=0.0, deep_supervision=True)
    image = torch.randn(1, 1, 32, 48)
    maps = {}
    network.decoder[1].register_forward_hook(lambda *parts: maps.update(coarse=parts[2]))
    coarse = network(image)[1]
    (head,) = network.coarse_heads
    logits = head[0](maps["coarse"])
    assert logits.shape[2:] == (16, 24)
    expected = nn.functional.interpolate(logits, size=(32, 48), mode="bilinear")
    torch.testing.assert_close(coarse, expected)
