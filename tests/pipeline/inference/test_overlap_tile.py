import numpy as np
import pytest
import torch

from pipeline.inference import OverlapTileInferer
from pipeline.networks import UNet, UNet3Plus, most_refined
from transforms.mirror import crop_mirrored

FEATURES = (3, 4, 5)  # two poolings: multiples of 4


def network(dims=2, **options):
    torch.manual_seed(0)
    return UNet(dims, 1, 2, features=FEATURES, **options).eval().double()


def lost(valid, side=92):
    return (side - valid.output_side(side)) // 2


@torch.no_grad()
def whole(net, image, margin, multiple=4):
    """One forward of the mirrored image, cropped: what tiles must reproduce."""
    sides = image.shape[2:]
    if net.padding == "valid":
        far = [next(s for s in range(n + 2 * margin, 10**4) if fits(net, s)) for n in sides]
    else:
        far = [-(-(n + 2 * margin) // multiple) * multiple for n in sides]
    logits = net(crop_mirrored(image[0], [-margin] * len(sides), far)[None])
    if net.padding == "same":
        logits = logits[(..., *(slice(margin, None) for _ in sides))]
    return logits[(..., *(slice(n) for n in sides))]


def fits(net, side):
    try:
        net.output_side(side)
    except ValueError:
        return False
    return True


def random_image(*sides):
    return torch.rand(1, 1, *sides, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("blocks", [0, 1, 3])
@pytest.mark.parametrize("sides", [(61, 47), (1, 30), (3, 2), (64, 64)])
def test_a_valid_network_in_tiles_gives_the_whole_image(blocks, sides):
    net = network(padding="valid")
    margin = lost(net)
    tile = next(s for s in range(2 * margin + 4 + 12 * blocks, 400) if fits(net, s))
    image = random_image(*sides)
    with torch.no_grad():
        found = OverlapTileInferer(tile, margin, multiple=4)(image, net)
    torch.testing.assert_close(found, whole(net, image, margin))


@pytest.mark.parametrize("tile", [96, 120, (88, 132)])
@pytest.mark.parametrize("sides", [(61, 47), (1, 130), (90, 33)])
def test_a_padded_network_with_halo_in_tiles_gives_the_whole_image(tile, sides):
    net = network()
    image = random_image(*sides)
    with torch.no_grad():
        found = OverlapTileInferer(tile, margin=24, multiple=4, batch_size=3)(image, net)
    torch.testing.assert_close(found, whole(net, image, 24))


def test_a_halo_smaller_than_the_receptive_field_would_show():
    net, image = network(), random_image(61, 47)
    with torch.no_grad():
        found = OverlapTileInferer(32, margin=4, multiple=4)(image, net)
    assert (found - whole(net, image, 4)).abs().max() > 1e-6


def test_volumes():
    net, image = network(3), random_image(9, 40, 30)
    with torch.no_grad():
        found = OverlapTileInferer(64, margin=24, multiple=4)(image, net)
    torch.testing.assert_close(found, whole(net, image, 24))


def test_no_seams_on_a_constant_image():
    net = network(padding="valid")
    margin = lost(net)
    tile = next(s for s in range(2 * margin + 12, 400) if fits(net, s))
    image = torch.full((1, 1, 90, 75), 0.3, dtype=torch.float64)
    with torch.no_grad():
        found = OverlapTileInferer(tile, margin, multiple=4)(image, net)
    # a transposed convolution has a pattern of its own, of period 4, and nothing else varies
    torch.testing.assert_close(found[..., 4:, 4:], found[..., :-4, :-4])


def test_every_image_of_a_batch():
    net = network()
    images = torch.cat([random_image(50, 40), -random_image(50, 40)])
    inferer = OverlapTileInferer(64, margin=24, multiple=4)
    with torch.no_grad():
        together = inferer(images, net)
        alone = torch.cat([inferer(image[None], net) for image in images])
    torch.testing.assert_close(together, alone)


def test_from_disk_to_disk(tmp_path):
    net = network().float()
    image = random_image(150, 90).float()
    source = np.memmap(tmp_path / "in", np.float32, "w+", shape=(1, 150, 90))
    source[:] = image[0]
    source.flush()
    read = np.memmap(tmp_path / "in", np.float32, "r", shape=(1, 150, 90))
    output = np.memmap(tmp_path / "out", np.float32, "w+", shape=(2, 150, 90))
    inferer = OverlapTileInferer(96, margin=24, multiple=4)
    inferer.stream(read, net, output)
    with torch.no_grad():
        torch.testing.assert_close(torch.tensor(output), inferer(image, net)[0])
    private = np.memmap(tmp_path / "out", np.float32, "c", shape=(2, 150, 90))
    private[:] = 0
    inferer.stream(read, net, private)
    np.testing.assert_array_equal(private, output)
    with pytest.raises(ValueError, match=r"output: found \(150, 91\), expected \(150, 90\)"):
        inferer.stream(read, net, np.zeros((2, 150, 91)))


def test_ronnebergers_sizes():
    inferer = OverlapTileInferer(572)
    assert list(inferer._origins(388, 572)) == [0]
    assert list(inferer._origins(389, 572)) == [0, 384]
    assert list(inferer._origins(1, 572)) == [0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tile": 199}, "tile: found a side of 199, expected at least 200, twice the margin of 92"),
        ({"tile": 300, "margin": -1}, "margin: found -1"),
        ({"tile": (300, 300, 300)}, "tile: found 3 sides for an image of 2 dimensions"),
    ],
)
def test_mistakes_are_one_line(options, message):
    with pytest.raises(ValueError, match=message):
        OverlapTileInferer(**options)(torch.zeros(1, 1, 8, 8), torch.nn.Identity())


def test_another_margin_than_the_networks_is_refused():
    net = network(padding="valid").float()
    with pytest.raises(ValueError, match="set the margin to what the network takes off"):
        OverlapTileInferer(92, margin=8, multiple=4)(torch.zeros(1, 1, 50, 50), net)


@torch.no_grad()
@pytest.mark.parametrize("guided", [False, True])
def test_of_several_heads_the_most_refined_one_counts(guided):
    """A network in training with deep supervision returns a list, or a guided output."""
    options = {"deep_supervision": True, "classification_guided": guided, "norm": None}
    torch.manual_seed(0)
    net = UNet3Plus(2, 1, 1, (2, 2, 2, 2, 2), skip_channels=2, **options)
    image = torch.rand(1, 1, 70, 50)
    inferer = OverlapTileInferer(tile=64, margin=16)
    predicted = inferer(image, net.train())
    expected = inferer(image, lambda tiles: most_refined(net(tiles)))
    assert predicted.shape == image.shape
    torch.testing.assert_close(predicted, expected)
