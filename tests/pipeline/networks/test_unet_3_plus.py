import pytest
import torch
import torch.nn.functional as F

from pipeline.losses import ClassificationGuidedLoss, UNet3PlusLoss
from pipeline.networks import UNet3Plus
from pipeline.networks.full_scale import convolve_upsampled


def network(**arguments):
    torch.manual_seed(0)
    return UNet3Plus(
        2, 1, **{"out_channels": 1, "features": (2, 3, 4, 5, 6), "skip_channels": 2} | arguments
    )


@pytest.mark.parametrize("factor", [2, 4, 16])
@pytest.mark.parametrize(("sides", "mode"), [((3, 5), "bilinear"), ((2, 3, 4), "trilinear")])
def test_convolution_of_the_upsampled_map_without_the_map(sides, mode, factor):
    if mode == "trilinear" and factor == 16:
        factor = 8
    torch.manual_seed(0)
    features = torch.randn(2, 3, *sides, dtype=torch.float64)
    weight = torch.randn(4, 3, *[3] * len(sides), dtype=torch.float64)
    bias = torch.randn(4, dtype=torch.float64)
    convolution = F.conv2d if len(sides) == 2 else F.conv3d
    upsampled = F.interpolate(features, scale_factor=factor, mode=mode)
    expected = convolution(upsampled, weight, bias, padding=1)
    factors = [factor] * len(sides)
    torch.testing.assert_close(convolve_upsampled(features, weight, bias, factors), expected)


@pytest.mark.parametrize("kernel", [(3, 1, 3), (1, 1, 1), (3, 3, 1)])
def test_convolution_of_a_map_upsampled_by_axis(kernel):
    torch.manual_seed(0)
    features = torch.randn(2, 3, 2, 3, 4, dtype=torch.float64)
    weight = torch.randn(4, 3, *kernel, dtype=torch.float64)
    bias = torch.randn(4, dtype=torch.float64)
    upsampled = F.interpolate(features, scale_factor=(4.0, 1.0, 2.0), mode="trilinear")
    expected = F.conv3d(upsampled, weight, bias, padding=[side // 2 for side in kernel])
    torch.testing.assert_close(convolve_upsampled(features, weight, bias, (4, 1, 2)), expected)


def test_decoder_nodes_hold_five_times_the_skip_channels():
    full = network(skip_channels=3)
    for scale, node in enumerate(full.decoder):
        assert [branch.out_channels for branch in node.branches] == [3] * 5
        assert node.fusion.convolution.weight.shape == (15, 15, 3, 3)
        wide = [15] * (3 - scale)
        assert [b.in_channels for b in node.branches] == [2, 3, 4, 5][: scale + 1] + wide + [6]


def test_heads_are_three_by_three_and_the_full_resolution_one_comes_first():
    deep, image = network(deep_supervision=True, norm=None), torch.randn(1, 1, 32, 32)
    assert {tuple(head.kernel_size) for head in deep.heads} == {(3, 3)}
    with torch.no_grad():
        training = deep(image)
        assert torch.equal(training[0], deep.eval()(image))
        fine = deep.heads[0](deep._scales(image)[0])
        torch.testing.assert_close(training[0], fine)
        coarse = deep.heads[4](deep._scales(image)[4])
    upsampled = F.interpolate(coarse, scale_factor=16.0, mode="bilinear")
    torch.testing.assert_close(training[4], upsampled)


def set_presence(guided, absent, present):
    classifier = guided.classifier[1]
    classifier.weight.data.zero_()
    classifier.bias.data = torch.tensor([*absent, *present])


def test_the_gate_is_hard_in_evaluation_and_open_in_training():
    guided, image = network(out_channels=2, classification_guided=True), torch.randn(2, 1, 32, 32)
    plain = network(out_channels=2)
    plain.load_state_dict(
        {name: value for name, value in guided.state_dict().items() if "classifier" not in name}
    )
    set_presence(guided, absent=(0.0, 1.0), present=(1.0, 0.0))  # class 0 is there, class 1 is not
    with torch.no_grad():
        output, free = guided(image), plain(image)
        assert torch.equal(output.heads[0], free)
        assert output.presence.tolist() == [[[0.0, 1.0], [1.0, 0.0]]] * 2
        gated, ungated = guided.eval()(image), plain.eval()(image)
    assert torch.equal(gated[:, 0], ungated[:, 0])
    assert (gated[:, 1] == -100).all()
    assert gated[:, 1].sigmoid().max() < 1e-40


def test_presence_is_the_strongest_answer_anywhere():
    guided = network(classification_guided=True).eval()
    bottleneck = torch.zeros(1, 6, 2, 2)
    bottleneck[0, 3, 1, 0] = 5.0
    classifier = guided.classifier[1]
    classifier.weight.data.zero_()
    classifier.weight.data[1, 3] = 2.0  # "present" looks at channel 3
    presence = guided._presence(guided.classifier(bottleneck))
    assert presence.flatten().tolist() == [0.0, 10.0]


@pytest.mark.parametrize("features", [(4, 8), (4, 8, 8, 8, 8, 8)])
def test_features_of_another_length_are_refused(features):
    message = rf"^UNet3Plus features: found {len(features)} in .*expected exactly 5"
    with pytest.raises(ValueError, match=message):
        network(features=features)


@torch.no_grad()
def test_where_all_classes_are_judged_absent_nothing_is_predicted():
    network = UNet3Plus(2, 1, 3, (2, 2, 2, 2, 2), skip_channels=2, classification_guided=True)
    torch.nn.init.zeros_(network.classifier[1].weight)
    network.classifier[1].bias.copy_(torch.tensor([5.0] * 3 + [-5.0] * 3))  # absent, present
    logits = network.eval()(torch.rand(2, 1, 32, 32))
    assert logits.shape == (2, 3, 32, 32)
    assert bool((logits.sigmoid() == 0).all())
    present = torch.ones(2, 3, 32, 32)
    loss = ClassificationGuidedLoss(UNet3PlusLoss(2, scales=1))(logits, present)
    assert bool(torch.isfinite(loss))


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_one_patch_whose_deepest_map_is_one_pixel(norm):
    network = UNet3Plus(2, 1, 1, (2, 2, 2, 2, 2), skip_channels=2, norm=norm)
    with pytest.raises(ValueError, match=r"Norm2d: found maps of 1 x 1 in a batch of 1, which"):
        network(torch.rand(1, 1, 16, 16))
    if norm == "batch":
        assert network(torch.rand(2, 1, 16, 16)).shape == (2, 1, 16, 16)
        assert network.eval()(torch.rand(1, 1, 16, 16)).shape == (1, 1, 16, 16)
