import pytest
import torch
import torch.nn.functional as F
from monai.metrics import MultiScaleSSIMMetric
from torch import Tensor

from pipeline.losses import MSSSIMLoss

C1, C2 = 0.01**2, 0.03**2


def test_flat_maps_differ_in_luminance_alone():
    # p = 0.8, y = 0.5, no variance: structure C2 / C2 = 1 at every scale;
    # luminance (2 * 0.4 + C1) / (0.64 + 0.25 + C1), to the last exponent 0.1333 / 1.0001
    loss = MSSSIMLoss(2)
    flat = torch.ones(1, 1, 161, 161, dtype=torch.float64)
    value = loss((0.8 * flat).logit(), 0.5 * flat)
    luminance = (0.8 + C1) / (0.89 + C1)
    assert value.item() == pytest.approx(1 - luminance ** (0.1333 / 1.0001), abs=1e-6)


def test_one_scale_by_hand():
    """A window of one row's three pixels with equal weights, which fits once.

    y = 0, 1, 0: mean 1/3, variance 1/3 - 1/9 = 2/9. p = 1/4, 3/4, 1/4: mean 5/12, mean square
    (1/16 + 9/16 + 1/16) / 3 = 11/48, variance 11/48 - 25/144 = 1/18; mean product (3/4) / 3 = 1/4,
    covariance 1/4 - 5/36 = 1/9. The window is flat for a large sigma, and 3 x 3 with equal rows.
    """
    probabilities = torch.tensor([0.25, 0.75, 0.25], dtype=torch.float64).expand(1, 1, 3, 3)
    mask = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64).expand(1, 1, 3, 3)
    luminance = (2 * 5 / 12 / 3 + C1) / (25 / 144 + 1 / 9 + C1)
    structure = (2 / 9 + C2) / (1 / 18 + 2 / 9 + C2)
    value = MSSSIMLoss(2, scales=1, window_size=3, sigma=1e6)(probabilities.logit(), mask)
    assert value.item() == pytest.approx(1 - luminance * structure, abs=1e-9)


def direct(probabilities: Tensor, mask: Tensor, scales: int, exponents) -> Tensor:
    """MS-SSIM written out with a two-dimensional window, for one image of one channel."""
    offsets = torch.arange(11, dtype=torch.float64) - 5
    bell = torch.exp(-(offsets**2) / 4.5)
    window = torch.outer(bell, bell)[None, None] / bell.sum() ** 2
    result = torch.tensor(1.0, dtype=torch.float64)
    for scale in range(scales):
        if scale:
            probabilities, mask = F.avg_pool2d(probabilities, 2), F.avg_pool2d(mask, 2)
        mp, my = F.conv2d(probabilities, window), F.conv2d(mask, window)
        vp = F.conv2d((probabilities**2), window) - mp**2
        vy = F.conv2d((mask**2), window) - my**2
        c = F.conv2d(probabilities * mask, window) - mp * my
        result = result * ((2 * c + C2) / (vp + vy + C2)).mean() ** exponents[scale]
        if scale == scales - 1:
            result = result * ((2 * mp * my + C1) / (mp**2 + my**2 + C1)).mean() ** exponents[scale]
    return result


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    mask = torch.zeros(1, 1, 176, 192, dtype=torch.float64)
    mask[..., 40:120, 30:90] = 1
    noise = torch.rand(mask.shape, generator=generator, dtype=torch.float64)
    return (0.7 * mask + 0.3 * noise).clamp(0.01, 0.99), mask


def test_five_scales(images):
    probabilities, mask = images
    wang = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    expected = direct(probabilities, mask, 5, [exponent / sum(wang) for exponent in wang])
    torch.testing.assert_close(MSSSIMLoss(2)(probabilities.logit(), mask), 1 - expected)


def test_three_scales_take_the_first_exponents_scaled_to_one(images):
    probabilities, mask = images
    first = (0.0448, 0.2856, 0.3001)
    expected = direct(probabilities, mask, 3, [exponent / sum(first) for exponent in first])
    torch.testing.assert_close(MSSSIMLoss(2, scales=3)(probabilities.logit(), mask), 1 - expected)


def test_close_to_monais_metric(images):
    # MONAI's exponents are Wang's without scaling to one: (…)^1.0001; its window is the same
    probabilities, mask = (image.float() for image in images)
    metric = MultiScaleSSIMMetric(spatial_dims=2, data_range=1.0)
    expected = metric(probabilities, mask).mean().item()
    assert MSSSIMLoss(2)(probabilities.logit(), mask).item() == pytest.approx(
        1 - expected, abs=1e-3
    )


def test_images_and_channels_count_alike_and_alone(images):
    probabilities, mask = images
    loss = MSSSIMLoss(2, scales=2)
    batch = torch.cat([probabilities, mask.clamp(0.01, 0.99)])
    alone = [loss(image[None].logit(), mask) for image in batch]
    torch.testing.assert_close(loss(batch.logit(), mask.expand(2, -1, -1, -1)), sum(alone) / 2)
    channels = batch.transpose(0, 1)
    torch.testing.assert_close(loss(channels.logit(), mask.expand(-1, 2, -1, -1)), sum(alone) / 2)


def test_a_volume_that_does_not_change_in_depth_is_its_slice(images):
    probabilities, mask = (image[..., 30:60, 30:60] for image in images)
    flat = MSSSIMLoss(2, scales=2)(probabilities.logit(), mask)
    deep = MSSSIMLoss(3, scales=2)(
        probabilities.logit()[:, :, None].expand(-1, -1, 24, -1, -1),
        mask[:, :, None].expand(-1, -1, 24, -1, -1),
    )
    torch.testing.assert_close(deep, flat)


def test_it_falls_as_the_prediction_nears_the_mask(images):
    _, mask = images
    loss = MSSSIMLoss(2)
    steps = [loss(scale * (2 * mask - 1), mask).item() for scale in (-10, -1, 0.1, 1, 3, 10, 100)]
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("side", "scales", "mend"),
    [(160, 5, "at least 161 for 5 scales.*set scales: 4$"), (20, 3, "at least 41.*set scales: 1$")],
)
def test_a_side_too_small_names_the_scales_that_fit(side, scales, mend):
    image = torch.zeros(1, 1, side, 200)
    with pytest.raises(ValueError, match=rf"found a side of {side}, expected {mend}") as error:
        MSSSIMLoss(2, scales=scales)(image, image)
    assert "\n" not in str(error.value)
    fitting = int(str(error.value)[-1])
    assert MSSSIMLoss(2, scales=fitting)(image, image).isfinite()


def test_a_side_smaller_than_the_window_wants_a_smaller_window():
    image = torch.zeros(1, 1, 8, 8)
    with pytest.raises(ValueError, match=r"set a smaller window_size$"):
        MSSSIMLoss(2, scales=1)(image, image)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scales": 0}, "^scales: found 0, expected 1 to 5"),
        ({"scales": 6}, "^scales: found 6"),
        ({"window_size": 4}, "^window_size: found 4, expected an odd"),
        ({"spatial_dims": 1}, "^spatial_dims: found 1, expected 2 or 3"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MSSSIMLoss(**{"spatial_dims": 2} | arguments)


def test_a_weight_map_weighs_the_pixels_of_each_scale(images):
    prediction, target = images
    loss = MSSSIMLoss(2, scales=2)
    plain = loss(prediction, target)
    ones = torch.ones_like(target[:, :1])
    torch.testing.assert_close(loss(prediction, target, 3 * ones), plain)
    # half of the image alone, far from the other half, is that half as an image
    left = ones.clone()
    left[..., left.shape[-1] // 2 :] = 0
    half = prediction.clone()
    half[..., half.shape[-1] // 2 + 24 :] = 7
    torch.testing.assert_close(loss(half, target, left), loss(prediction, target, left))
    assert not torch.allclose(loss(prediction, target, left), plain)


def test_a_weight_map_of_another_shape_is_refused(images):
    prediction, target = images
    with pytest.raises(ValueError, match="MSSSIMLoss weight: found a map of shape"):
        MSSSIMLoss(2, scales=2)(prediction, target, torch.ones(1, 1, 3, 3))
