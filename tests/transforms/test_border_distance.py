import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy.spatial.distance import cdist

from transforms import BorderDistance, BorderDistanced


def by_hand(instances):
    """Every distance to every other pixel, and to those around the image."""
    padded = np.pad(instances, 1)
    places = np.argwhere(padded >= 0)
    numbers = padded.ravel()
    apart = np.where(numbers[:, None] == numbers, np.inf, cdist(places, places)).min(1)
    apart[numbers == 0] = 0
    for number in np.unique(numbers[numbers > 0]):
        apart[numbers == number] /= apart[numbers == number].max()
    return apart.reshape(padded.shape)[(slice(1, -1),) * instances.ndim]


@pytest.mark.parametrize("shape", [(12, 9), (5, 6, 4)])
def test_the_distance_to_every_pixel_of_another_number(shape):
    rng = np.random.default_rng(0)
    instances = np.repeat(rng.integers(0, 5, shape[:-1])[..., None], shape[-1], -1)
    assert np.allclose(BorderDistance()(instances[None])[0], by_hand(instances), atol=1e-6)


def test_two_that_touch_are_two_above_a_level():
    row = torch.zeros(1, 7, 14)
    row[:, :, :7], row[:, :, 7:] = 1, 2
    distance = BorderDistance()(row)
    assert distance[0, 3].tolist() == [0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25] * 2
    assert distance.dtype == torch.float32


def test_an_instance_of_one_pixel_and_none():
    assert BorderDistance()(np.array([[[0, 4, 0]]])).tolist() == [[[0, 1, 0]]]
    assert BorderDistance()(np.zeros((1, 3, 3), int)).max() == 0


def test_the_distances_follow_the_masks():
    instances = MetaTensor(torch.tensor([[[0, 3, 3, 3]]]))
    item = {"instances": instances, "label": (instances > 0).float()}
    label = BorderDistanced("instances")(item)["label"]
    assert label.tolist() == [[[0, 1, 1, 1]], [[0, 1, 1, 1]]]


def test_an_error_names_the_file():
    bad = MetaTensor(torch.full((1, 2, 2), 0.5), meta={"filename_or_obj": "cells.png"})
    with pytest.raises(ValueError, match=r"cells\.png: label: found fractional"):
        BorderDistanced("instances")({"instances": bad, "label": bad})
