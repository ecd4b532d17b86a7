import pytest
import torch
from torch import nn

from pipeline.explanation.gradients import grad_cam, map_agreement, saliency
from pipeline.networks import UNet


@pytest.fixture
def network():
    torch.manual_seed(0)
    return UNet(2, 1, 1, features=(4, 8, 16), norm="batch", dropout=0.0).eval()


def test_saliency_is_the_gradient_of_the_mean_logit(network):
    image, inside = torch.randn(1, 16, 16), torch.zeros(1, 16, 16)
    inside[:, 4:9, 4:9] = 1
    leaf = image[None].clone().requires_grad_()
    network(leaf)[:, inside.bool()].mean().backward()
    assert torch.allclose(saliency(network, image, inside), leaf.grad[0, 0].abs(), atol=1e-7)


def test_grad_cam_by_hand():
    """One layer of two channels: the first speaks for the structure, the second against it."""
    layer, head = nn.Conv2d(1, 2, 1, bias=False), nn.Conv2d(2, 1, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1))
        head.weight.copy_(torch.tensor([3.0, 1.0]).reshape(1, 2, 1, 1))
    image = torch.tensor([[[2.0, 1.0], [-1.0, 0.0]]])
    cam = grad_cam(nn.Sequential(layer, head), image, torch.ones(1, 2, 2), layer)
    # weights 3 and 1 of maps x and -x: 2 x, below 0 nothing, and the largest becomes 1
    assert torch.allclose(cam, torch.tensor([[1.0, 0.5], [0.0, 0.0]]), atol=1e-5)


def test_the_network_is_left_as_it_was(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    image, inside = torch.randn(1, 16, 16), torch.ones(1, 16, 16)
    cam = grad_cam(network, image, inside, network.feature_modules()["bottleneck"])
    saliency(network, image, inside)
    assert cam.shape == (16, 16)
    assert 0 <= cam.min() <= cam.max() <= 1
    assert not any(m._forward_hooks or m._backward_hooks for m in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())


def test_a_layer_of_another_network_is_refused(network):
    with pytest.raises(ValueError, match="layer: Conv2d is no module of UNet"):
        grad_cam(network, torch.randn(1, 16, 16), torch.ones(1, 16, 16), nn.Conv2d(1, 1, 1))


def test_agreement_of_maps():
    one = torch.rand(16, 16)
    assert map_agreement(one, one**3, block=1) == 1
    assert map_agreement(one, -one, block=4) == -1
    assert map_agreement(one, torch.zeros(16, 16), block=4) is None


def test_of_volumes(network):
    volume = torch.randn(1, 8, 8, 8)
    inside = torch.zeros(2, 8, 8, 8)
    inside[1, 2:5, 2:5, 2:5] = 1
    both = nn.Sequential(nn.Conv3d(1, 2, 3, padding=1)).eval()
    gradient = saliency(both, volume, inside)
    assert gradient.shape == (8, 8, 8)
    assert (gradient[1:6, 1:6, 1:6] > 0).all()
    assert (gradient[7] == 0).all(), "out of sight of the mask"
    assert map_agreement(gradient, gradient, block=3) == 1
    assert grad_cam(both, volume, inside, both[0]).shape == (8, 8, 8)
