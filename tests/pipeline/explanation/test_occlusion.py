import pytest
import torch
from torch import nn

from pipeline.explanation.occlusion import (
    FILLS,
    Occlusion,
    batch_size,
    change_from,
    count_passes,
    loss_against,
    occlusion_map,
    region_size,
)


class UsesWindow(nn.Module):
    """Its logits depend on one window of the image alone."""

    def __init__(self, *window):
        super().__init__()
        self.window = window

    def forward(self, images):
        return images + images[(..., *self.window)].mean((-2, -1), keepdim=True)


@pytest.fixture
def image():
    return torch.randn(1, 20, 20, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("fill", FILLS)
def test_the_region_that_a_network_uses_has_all_the_harm(image, fill):
    image[:, 8:12, 12:16] += 6
    network = UsesWindow(slice(8, 12), slice(12, 16))

    def only_the_window(images):
        return network(images) - images

    harm = change_from(only_the_window(image[None]))
    harm_map = occlusion_map(only_the_window, image, harm, Occlusion(4, fill=fill))
    inside = torch.zeros(20, 20, dtype=torch.bool)
    inside[8:12, 12:16] = True
    assert (harm_map[inside] > 0).all()
    assert (harm_map[~inside] == 0).all()


def test_the_loss_against_the_truth_by_hand():
    image = torch.tensor([[[4.0, -4.0], [-4.0, -4.0]]])
    truth = (image > 0).float()
    loss = nn.BCEWithLogitsLoss()
    harm_map = occlusion_map(
        lambda x: x, image, loss_against(loss, truth), Occlusion(size=1, fill="mean")
    )
    right, hidden = torch.tensor(4.0), image.mean()  # -2 everywhere
    of_true = nn.functional.softplus(-hidden) - nn.functional.softplus(-right)
    of_false = nn.functional.softplus(hidden) - nn.functional.softplus(-right)
    expected = torch.tensor([[of_true, of_false], [of_false, of_false]]) / 4
    assert torch.allclose(harm_map, expected, atol=1e-6)


def test_the_batch_changes_nothing(image):
    network = nn.Conv2d(1, 1, 3, padding=1)
    harm = change_from(network(image[None]))
    one, many = (
        occlusion_map(network, image, harm, Occlusion(6, 4, batch=batch)) for batch in (1, 7)
    )
    assert torch.allclose(one, many, atol=1e-6)


def test_the_seed_makes_the_noise(image):
    def harm_map(**settings):
        return occlusion_map(lambda x: x, image, change_from(image[None]), Occlusion(5, **settings))

    assert torch.equal(harm_map(seed=1), harm_map(seed=1))
    assert not torch.equal(harm_map(seed=1), harm_map(seed=2))
    few, many = (
        (harm_map(seed=1, draws=draws) - harm_map(seed=2, draws=draws)).abs().mean()
        for draws in (1, 40)
    )
    assert many < few / 2


def test_every_pixel_is_hidden_where_the_size_does_not_divide_the_side(image):
    seen = []

    def watch(images):
        seen.append((images != image).any(0)[0])
        return images

    occlusion_map(watch, image, change_from(image[None]), Occlusion(7, fill="noise"))
    assert torch.stack(seen).any(0).all()


def test_the_image_is_left_as_it_was(image):
    before = image.clone()
    occlusion_map(lambda x: x, image, change_from(image[None]), Occlusion(7))
    assert torch.equal(image, before)


def test_several_threads_find_what_one_finds_and_are_given_back(image):
    network = nn.Conv2d(1, 1, 5, padding=2)
    harm = change_from(network(image[None]).detach())
    before = torch.get_num_threads()
    maps = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            maps.append(occlusion_map(network, image, harm, Occlusion(3, batch=2)))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.allclose(*maps, atol=1e-7)


def test_an_error_in_a_thread_is_raised(image):
    def fails_when_hidden(images):
        if not torch.equal(images[0], image):
            raise ValueError("no such size")
        return images

    with pytest.raises(ValueError, match="no such size"):
        occlusion_map(fails_when_hidden, image, change_from(image[None]), Occlusion(7))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 21}, "occlusion size: found 21 pixels for an image of 20 x 20; expected at most"),
        ({"size": 0}, "occlusion size: found 0, expected 1 or more"),
        ({"draws": 0}, "occlusion draws: found 0"),
        ({"fill": "black"}, "occlusion fill: found 'black', expected one of noise, mean, blur"),
        ({"size": 4, "stride": 5}, "occlusion stride: found 5, larger than the size 4"),
    ],
)
def test_what_cannot_be_is_refused(image, settings, message):
    with pytest.raises(ValueError, match=message):
        occlusion_map(lambda x: x, image, change_from(image[None]), Occlusion(**settings))


@pytest.mark.parametrize("sides", [(64, 64), (512, 512), (2000, 3000), (96, 96, 96), (3, 256, 256)])
def test_regions_grow_with_the_image(sides):
    """A large image has no more regions than a small one; thick slices are hidden as a whole."""
    assert 60 <= count_passes(Occlusion(), sides) <= 150
    assert count_passes(Occlusion(regions=25), sides) <= 50


def test_a_size_that_is_given_stays():
    assert region_size(Occlusion(size=14), (512, 512)) == 14
    assert count_passes(Occlusion(size=14), (512, 512)) == 37 * 37


def test_every_pass_is_shown(image):
    shown = []
    occlusion = Occlusion(7, draws=2, batch=4)
    occlusion_map(lambda x: x, image, change_from(image[None]), occlusion, shown.append)
    assert sum(shown) == count_passes(occlusion, (20, 20)) == 18


def test_a_batch_fits_the_cache():
    assert batch_size(torch.zeros(1, 512, 512)) == 1
    assert batch_size(torch.zeros(1, 96, 96, 96)) == 1
    assert batch_size(torch.zeros(1, 128, 128)) == 4
    assert batch_size(torch.zeros(1, 32, 32)) == 16


def test_a_region_of_thin_slices_hides_all_of_them():
    volume = torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    seen = []

    def watch(images):
        seen.append((images != volume).any(0)[0])
        return images

    occlusion_map(watch, volume, change_from(volume[None]), Occlusion(batch=1))
    hidden = torch.stack(seen[1:])
    assert hidden.any(0).all()
    assert (hidden.any(1) == hidden.all(1)).all()
