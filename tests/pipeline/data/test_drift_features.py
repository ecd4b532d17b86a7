"""What is watched of an image."""

import numpy as np
import pytest

from pipeline.data.drift_features import drift_features, noise_of
from pipeline.data.image_statistics import image_statistics
from pipeline.data.pixels import Pixels

RNG = np.random.default_rng(0)
RAMP = np.add.outer(3.0 * np.arange(64), 2.0 * np.arange(64))


@pytest.mark.parametrize("deviation", [0.5, 4.0])
def test_noise_is_measured_on_slopes_and_edges(deviation):
    image = RAMP + 50 * (np.arange(64) > 30) + RNG.normal(0, deviation, (64, 64))
    assert noise_of(Pixels(image)) == pytest.approx(deviation, rel=0.1)
    assert noise_of(Pixels(RAMP)) == pytest.approx(0, abs=1e-3)


def test_noise_of_volumes_and_channels_is_that_of_their_planes():
    noise = RNG.normal(0, 2, (64, 64, 80))
    assert noise_of(Pixels(noise, affine=np.eye(4))) == pytest.approx(2, rel=0.05)
    colours = RNG.normal(0, [1, 2, 3], (64, 64, 3))
    assert noise_of(Pixels(colours, colour=True)) == pytest.approx(2, rel=0.1)
    assert noise_of(Pixels(np.ones((2, 9)))) == 0


def test_8_and_16_bits_compare_and_units_are_kept():
    image = RNG.integers(0, 256, (32, 32)).astype(np.uint8)
    wide = image.astype(np.uint16) * 257
    of_8, of_16 = (
        drift_features(pixels, image_statistics(pixels))
        for pixels in (Pixels(image, maximum=255.0), Pixels(wide, maximum=65535.0))
    )
    assert of_8 == pytest.approx(of_16)
    hounsfield = Pixels(np.full((4, 4, 4), -1000.0), affine=np.diag([2.0, 2, 5, 1]))
    features = drift_features(hounsfield, image_statistics(hounsfield))
    assert (features["mean"], features["coarsest spacing"]) == (-1000, 5)
