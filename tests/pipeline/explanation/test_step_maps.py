import numpy as np
import pytest
import torch

from pipeline.explanation.images import Image
from pipeline.explanation.step_maps import (
    IMAGE,
    LOGITS,
    Probe,
    StepMeter,
    on_image,
    scale_of,
    steps_of,
)
from pipeline.inference.mirrored import Mirrored
from pipeline.networks import UNet, UNet3Plus, UNetPlusPlus, feature_maps


def image_of(truth, pixels=None):
    pixels = truth.float() if pixels is None else pixels
    return Image("a", "test", pixels, truth, None, {})


@pytest.fixture
def disc():
    y, x = torch.meshgrid(torch.arange(50), torch.arange(64), indexing="ij")
    return (((y - 25) ** 2 + (x - 30) ** 2) < 150).int()[None]


def test_the_bottleneck_is_measured_after_each_convolution():
    network = UNet(2, 1, 1, features=(2, 4, 8), dropout=0.0).eval()
    steps = steps_of(network, network.feature_names)
    assert list(steps) == [
        "encoder1", "encoder2", "bottleneck.1", "bottleneck.2", "decoder2", "decoder1", LOGITS,
    ]  # fmt: skip
    image = torch.randn(1, 1, 16, 16)
    entire = feature_maps(network, image, ["bottleneck"])["bottleneck"]
    assert torch.equal(entire, steps["bottleneck.2"](steps["bottleneck.1"](
        feature_maps(network, image, ["bottleneck"], inputs=True)["bottleneck"]
    )))  # fmt: skip


@pytest.mark.parametrize(
    "network",
    [
        UNet(2, 1, 1, features=(2, 4, 8), norm="batch", pixel_unshuffle=2),
        UNetPlusPlus(2, 1, 1, features=(2, 4, 8)),
        UNet3Plus(2, 1, 1, features=(2, 2, 4, 4, 4), skip_channels=2),
    ],
)
def test_every_network_has_a_row_for_every_step(network, disc):
    network.eval()
    meter = StepMeter(network, steps_of(network, network.feature_names))
    image = image_of(disc, disc.float() + 0.1 * torch.randn(1, 50, 64))
    meter.learn(image)
    meter.finish()
    rows = meter.measure(image)
    assert [row["step"] for row in rows] == [IMAGE, *meter.steps]
    for row in rows:
        assert 0.5 <= row["region_auc"] <= 1
        assert 0.5 <= row["boundary_auc"] <= 1
    first = rows[0]
    assert first["region_auc"] == pytest.approx(first["probe_region_auc"])
    assert first["region_auc"] > 0.99 > first["boundary_auc"]


def test_a_volume_and_a_label_without_a_boundary():
    network = UNet(3, 1, 1, features=(2, 4)).eval()
    meter = StepMeter(network, steps_of(network, network.feature_names))
    truth = torch.zeros(1, 12, 12, 8, dtype=torch.int)
    assert meter.measure(image_of(truth)) == []
    truth[0, 3:9, 3:9, 2:6] = 1
    rows = meter.measure(image_of(truth))
    assert rows[0]["region_auc"] == 1
    assert "probe_region_auc" not in rows[0]


def test_ignored_pixels_do_not_count(disc):
    network = UNet(2, 1, 1, features=(2, 4)).eval()
    meter = StepMeter(network, steps_of(network, network.feature_names))
    wrong, ignored = disc.float().clone(), disc.clone()
    wrong[:, :5], ignored[:, :5] = 1, -1
    assert meter.measure(image_of(disc, wrong))[0]["region_auc"] < 1
    assert meter.measure(image_of(ignored, wrong))[0]["region_auc"] == 1


def test_maps_lie_where_the_pixels_are():
    """The map of an image padded from 50 to 56 is as its pixels, averaged by 8."""
    image = torch.zeros(1, 1, 56, 56)
    image[..., 16:32, 40:48] = 1
    coarse = torch.nn.functional.avg_pool2d(image, 8)
    fine = on_image(coarse, (50, 50))
    assert fine.shape[2:] == (50, 50)
    assert ((fine > 0.5) == (image[..., :50, :50] > 0)).float().mean() > 0.99
    assert scale_of((7, 7), (50, 50)) == [8, 8]


def test_the_probe_is_the_linear_discriminant():
    rng = np.random.default_rng(0)
    mark = torch.tensor(rng.random(2000) < 0.3)
    noise = torch.tensor(rng.normal(size=(2, 2000)))
    channels = torch.stack([noise[0], noise[0] + 0.1 * noise[1] + 0.2 * mark])
    probe = Probe()
    probe.add(channels[:, :900], mark[None, :900])
    probe.add(channels[:, 900:], mark[None, 900:])
    (weights,) = probe.weights()
    centred = (channels - channels.mean(1, keepdim=True)).T
    expected = torch.linalg.lstsq(
        centred, (mark.double() - mark.double().mean())[:, None]
    ).solution[:, 0]
    assert torch.allclose(weights, expected, rtol=1e-3)


def test_unpadded_convolutions_are_refused():
    network = Mirrored(UNet(2, 1, 1, features=(2, 4), padding="valid"))
    with pytest.raises(ValueError, match="do not lie on the image's grid"):
        steps_of(network, ["encoder1"])
