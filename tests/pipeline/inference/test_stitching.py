"""Large maps are stitched in 8 bits: the same probabilities as in 32, to half a 255th."""

import pytest
import torch
from monai.inferers import SimpleInferer, SlidingWindowInferer

from pipeline.inference import DihedralInferer, stitching
from pipeline.inference.stitching import infer_bounded


@pytest.fixture
def network():
    torch.manual_seed(0)
    return torch.nn.Conv3d(1, 3, 3, padding=1)


SIZES = [(30, 17, 22), (12, 40, 9), (16, 16, 16), (20, 8, 33)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["gaussian", "constant"])
@pytest.mark.parametrize("overlap", [0.25, (0.5, 0.0, 0.25)])
@torch.inference_mode()
def test_a_large_map_is_the_same_to_half_a_255th(size, mode, overlap, network, monkeypatch):
    image = 5 * torch.randn(1, 1, *size)
    padding = "replicate" if mode == "gaussian" else "constant"
    inferer = SlidingWindowInferer((16, 12, 10), 3, overlap, mode, padding_mode=padding)
    exact = inferer(image, network).sigmoid()
    monkeypatch.setattr(stitching, "MAX_FLOAT_BYTES", 100)
    large = infer_bounded(inferer, image, network)
    assert large.dtype == torch.uint8
    assert large.shape == exact.shape
    assert (large / 255 - exact).abs().max() <= 0.5 / 255 + 1e-6


@torch.inference_mode()
def test_a_batch_of_flat_images(monkeypatch):
    images = torch.randn(2, 1, 30, 20)
    network = torch.nn.Conv2d(1, 2, 3, padding=1)
    inferer = SlidingWindowInferer((16, 16), 4)
    exact = inferer(images, network).sigmoid()
    monkeypatch.setattr(stitching, "MAX_FLOAT_BYTES", 100)
    large = infer_bounded(inferer, images, network)
    assert (large / 255 - exact).abs().max() <= 0.5 / 255 + 1e-6


@torch.inference_mode()
def test_a_small_map_is_exact(network):
    image = torch.randn(1, 1, 30, 17, 22)
    inferer = SlidingWindowInferer((16, 12, 10), 3)
    assert torch.equal(infer_bounded(inferer, image, network), inferer(image, network))


@torch.inference_mode()
def test_other_inferers_return_logits_of_any_size(network, monkeypatch):
    monkeypatch.setattr(stitching, "MAX_FLOAT_BYTES", 100)
    image = torch.randn(1, 1, 8, 8, 8)
    assert torch.equal(infer_bounded(SimpleInferer(), image, network), network(image))


@torch.inference_mode()
def test_no_more_planes_are_summed_than_a_window_has(network, monkeypatch):
    monkeypatch.setattr(stitching, "MAX_FLOAT_BYTES", 100)
    sizes = set()
    add = stitching._Planes.add

    def watched(self, *args):
        add(self, *args)
        sizes.add(tuple(self.sums.shape))

    monkeypatch.setattr(stitching._Planes, "add", watched)
    infer_bounded(SlidingWindowInferer((8, 8, 8), 2), torch.randn(1, 1, 40, 12, 13), network)
    assert sizes == {(8, 3, 12, 13)}


@torch.inference_mode()
@pytest.mark.parametrize("size", [(30, 20), (24, 24)])
def test_symmetries_are_averaged_in_8_bits(size, monkeypatch):
    image = 3 * torch.randn(1, 1, *size)
    network = torch.nn.Conv2d(1, 2, 3, padding=1)
    inferer = DihedralInferer(SlidingWindowInferer((16, 16), 4), versions=8)
    exact = inferer(image, network).sigmoid()
    monkeypatch.setattr(stitching, "MAX_FLOAT_BYTES", 100)
    large = inferer(image, network)
    assert large.dtype == torch.uint8
    assert (large / 255 - exact).abs().max() <= 1 / 255 + 1e-6


@torch.inference_mode()
@pytest.mark.parametrize("versions", [1, 8])
def test_a_large_map_stays_in_8_bits_where_memory_runs_out(versions, monkeypatch, capsys):
    monkeypatch.setattr(stitching, "MAX_FLOAT_BYTES", 100)

    def network(windows):
        if windows.numel() > 2 * 32 * 32:
            raise MemoryError
        return windows

    image = torch.randn(1, 1, 40, 70)
    large = DihedralInferer(SlidingWindowInferer((64, 64), 8), versions)(image, network)
    assert large.dtype == torch.uint8
    assert (large / 255 - image.sigmoid()).abs().max() <= 1 / 255 + 1e-6
    assert capsys.readouterr().out.endswith("goes on with windows of 32 x 64\n")


@torch.inference_mode()
def test_a_network_sees_the_further_arguments(monkeypatch):
    monkeypatch.setattr(stitching, "MAX_FLOAT_BYTES", 100)
    image = torch.zeros(1, 1, 20, 20)
    inferer = SlidingWindowInferer((16, 16), 4)
    large = infer_bounded(inferer, image, lambda x, shift: x + shift, shift=20.0)
    assert (large == 255).all()
