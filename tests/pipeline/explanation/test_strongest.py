import torch

from pipeline.explanation.deconvolution import Deconvolution
from pipeline.explanation.encoder_path import encoder_path
from pipeline.explanation.images import Image
from pipeline.explanation.strongest import explain_strongest, receptive_window
from pipeline.networks import UNet, UNetPlusPlus


def test_an_activation_sees_its_window_alone():
    torch.manual_seed(0)
    network = UNet(2, 1, 1, features=(2, 2, 2), pixel_unshuffle=2, dropout=0.0).eval()
    path = encoder_path(network)
    back = Deconvolution(path, torch.randn(1, 128, 128))
    for level in path.levels:
        # all channels at one place, so that none of the window's pixels is left out by chance
        signal = torch.zeros_like(back.maps[level.name])
        place = tuple(side // 2 for side in signal.shape[1:])
        signal[(slice(None), *place)] = 1
        shown = back.back(level.name, signal)[0]
        window = receptive_window(path, level.name, place, shown.shape)
        outside = shown.clone()
        outside[window] = 0
        assert not outside.any(), level.name
        assert shown[window].any(), level.name


def test_every_level_has_its_channels_and_the_largest_images_first():
    network = UNetPlusPlus(2, 1, 1, features=(2, 4), norm="batch").eval()
    images = [
        Image(str(i), "test", torch.randn(1, 16, 16) * (i + 1), torch.zeros(1, 16, 16), None, {})
        for i in range(3)
    ]
    part = explain_strongest(network, images)
    rows = part.tables["strongest"]
    assert {row["level"] for row in rows} == {"x0_0", "x1_0"}
    assert len(rows) == (2 + 3) * 3
    for level in ("x0_0", "x1_0"):
        channel = [row for row in rows if row["level"] == level][:3]
        assert len({row["image"] for row in channel}) == 3
        values = [row["value"] for row in channel]
        assert values == sorted(values, reverse=True)


def test_a_network_that_cannot_be_traced_is_said():
    part = explain_strongest(torch.nn.Conv2d(1, 1, 3), [])
    assert "Conv2d: found no contracting path" in part.summary["strongest"]["without"]
    assert not part.pictures
