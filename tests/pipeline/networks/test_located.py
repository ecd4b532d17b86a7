"""A network that locates first places its box on the structure, and says where it could not."""

import itertools

import pytest
import torch
from torch import nn

from pipeline.inference.compiled_network import CompiledNetwork
from pipeline.inference.engine import _compiled
from pipeline.networks import Ensemble, LocatedNetwork, UNet, UNet3Plus, locates, take_remarks
from pipeline.networks.located import OUTSIDE


class Seen(nn.Module):
    """Returns its input, and keeps it."""

    def __init__(self):
        super().__init__()
        self.images = []

    def forward(self, image):
        self.images.append(image)
        return image


def marked(*places, side=64, dims=2):
    """An image with logits of 9 in squares of 4 at places, and -9 elsewhere."""
    image = torch.full((1, 1, *(side,) * dims), -9.0)
    for place in places:
        image[(0, 0, *(slice(at, at + 4) for at in place))] = 9.0
    return image


def bounds(logits):
    """First and last pixel along each axis of what lies inside the box."""
    inside = torch.where(logits[0, 0] > OUTSIDE)
    return [(int(axis.min()), int(axis.max())) for axis in inside]


@pytest.mark.parametrize("dims", [2, 3])
def test_the_box_has_the_structure_in_its_middle(dims):
    network = LocatedNetwork(nn.Identity(), nn.Identity(), [16] * dims, reduction=4).eval()
    image = marked((20, 32, 24)[:dims], side=48, dims=dims)
    logits = network(image)
    assert bounds(logits) == [(14, 29), (26, 41), (18, 33)][:dims]
    inside = logits > OUTSIDE
    assert torch.equal(logits[inside], image[inside])
    assert take_remarks(network) == []


@pytest.mark.parametrize("place", list(itertools.product((0, 60), repeat=2)))
def test_the_box_stays_inside_the_image(place):
    network = LocatedNetwork(nn.Identity(), nn.Identity(), [16, 16]).eval()
    logits = network(marked(place))
    assert bounds(logits) == [(0, 15) if at == 0 else (48, 63) for at in place]


def test_the_larger_of_two_structures_is_segmented_and_the_rest_is_told():
    network = LocatedNetwork(nn.Identity(), nn.Identity(), [16, 16]).eval()
    logits = network(marked((40, 40), (40, 44), (44, 40), (4, 4)))
    assert bounds(logits)[0][0] >= 32
    assert take_remarks(network) == [
        "25% of what was located lies outside the box, which is not segmented"
    ]


def test_an_image_in_which_nothing_is_located_is_segmented_whole_and_told():
    seen = Seen()
    network = LocatedNetwork(nn.Identity(), seen, [16, 16]).eval()
    image = torch.full((1, 1, 40, 24), -3.0)
    torch.testing.assert_close(network(image), image)
    assert all(window.shape[2:] == (16, 16) for window in seen.images)
    network(marked((20, 20)))  # another version of the image, which does not take it back
    (remark,) = take_remarks(network)
    assert "nothing was located" in remark
    assert take_remarks(network) == []


def test_an_image_smaller_than_the_box_is_segmented_whole():
    network = LocatedNetwork(nn.Identity(), nn.Identity(), [64, 16]).eval()
    image = marked((8, 8), side=24)
    assert bounds(network(image)) == [(0, 23), (2, 17)]


def test_axes_are_reduced_by_numbers_of_their_own():
    network = LocatedNetwork(nn.Identity(), nn.Identity(), [8, 8, 4], reduction=[4, 4, 1]).eval()
    image = marked((8, 16, 4), side=32, dims=3)
    assert bounds(network(image)) == [(6, 13), (14, 21), (4, 7)]


def test_each_image_of_a_batch_has_a_box_of_its_own():
    network = LocatedNetwork(nn.Identity(), nn.Identity(), [16, 16]).eval()
    images = torch.cat([marked((8, 8)), marked((48, 32))])
    alone = torch.cat([network(image) for image in images.split(1)])
    assert torch.equal(network(images), alone)


def test_in_training_the_box_moves_and_both_networks_learn():
    torch.manual_seed(0)
    locator, segmenter = UNet(2, 1, 2, (4, 8)), UNet(2, 1, 2, (4, 8), deep_supervision=False)
    network = LocatedNetwork(locator, segmenter, [16, 16], jitter=0.5).train()
    image = marked((30, 30))
    fine, coarse = network(image)
    assert fine.shape == coarse.shape == (1, 2, 64, 64)
    (fine.sigmoid().sum() + coarse.sigmoid().sum()).backward()
    assert all(weight.grad is not None for weight in network.parameters())
    places = {str(bounds(network(image)[0])) for _ in range(8)}
    assert len(places) > 1


def test_odd_sides_are_enlarged_in_place():
    network = LocatedNetwork(nn.Identity(), nn.Identity(), [16, 16], reduction=4).train()
    image = torch.arange(37.0).expand(1, 1, 37, 37).contiguous()
    *_, coarse = network(image)
    assert coarse.shape == image.shape
    torch.testing.assert_close(coarse[..., 2:34], image[..., 2:34], rtol=0, atol=0.51)


def test_heads_of_the_segmenter_are_heads_of_the_whole():
    segmenter = UNet(2, 1, 1, (2, 4, 8), deep_supervision=True)
    network = LocatedNetwork(nn.Identity(), segmenter, [16, 16])
    heads = network.train()(marked((30, 30)))
    assert [head.shape for head in heads] == [(1, 1, 64, 64)] * (1 + len(segmenter(marked((0, 0)))))


def test_a_guided_segmenter_is_refused():
    guided = UNet3Plus(
        2, 1, 1, (2, 2, 2, 2, 2), 2, deep_supervision=True, classification_guided=True
    )
    network = LocatedNetwork(nn.Identity(), guided, [32, 32]).train()
    with pytest.raises(ValueError, match="set classification_guided: false"):
        network(torch.cat([marked((30, 30))] * 2))


def test_a_compiler_is_given_the_parts_alone():
    networks = [LocatedNetwork(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1), [16, 16]) for _ in "ab"]
    with pytest.raises(ValueError, match="compile locator and segmenter apart"):
        torch.jit.trace(networks[0].eval(), marked((8, 8)))
    compiled = _compiled(Ensemble(networks), lambda network, shape: None)
    assert [type(part) for member in compiled.members for part in member.children()] == (
        [CompiledNetwork] * 4
    )
    assert locates(compiled)
    assert type(networks[0].locator) is nn.Conv2d  # the network itself is left as it is
    assert type(_compiled(nn.Identity(), lambda network, shape: None)) is CompiledNetwork
