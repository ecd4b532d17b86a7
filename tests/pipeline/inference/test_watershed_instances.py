import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.ndimage import gaussian_filter, label
from skimage.segmentation import relabel_sequential, watershed

from pipeline.inference import WatershedInstances
from transforms.border_distance import border_distance

MAPS = arrays.arrays(np.float32, (6, 7), elements=st.floats(0, 1, width=32))


def test_a_high_threshold_separates_instances_without_making_them_smaller():
    """A bridge of 0.6 joins two discs of 0.9; both keep their rim of 0.55."""
    row = np.array([[0.1, 0.55, 0.9, 0.9, 0.6, 0.9, 0.9, 0.55, 0.1]])
    apart = WatershedInstances(floor=0.5)(row, 0.8)
    assert apart.tolist()[0][:4] == [0, 1, 1, 1]
    assert apart.tolist()[0][5:] == [2, 2, 2, 0]
    assert WatershedInstances(floor=0.5)(row, 0.6).max() == 1


@given(MAPS, st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_every_component_above_the_threshold_becomes_one_instance(probability, threshold, floor):
    instances = WatershedInstances(floor)(probability, threshold)
    seeds, count = label(probability >= threshold)
    assert instances.max() == count
    np.testing.assert_array_equal(instances[seeds > 0], seeds[seeds > 0])
    assert not instances[probability < min(floor, threshold)].any()


@given(MAPS, st.integers(0, 8))
def test_small_components_are_no_seeds(probability, least):
    instances = WatershedInstances(0.5, least)(probability, 0.5)
    sizes = np.bincount(label(probability >= 0.5)[0].ravel())[1:]
    numbers = np.unique(instances[instances > 0])
    np.testing.assert_array_equal(numbers, 1 + np.arange((sizes >= least).sum()))


@pytest.mark.parametrize("dims", [2, 3])
def test_two_that_touch_are_separated_by_distances(dims):
    """The mask of two balls is one piece of equal probability; their distances are two."""
    axes = np.indices((15, 28, *[15] * (dims - 2)))
    centres = ([7, 7, 7], [7, 20, 7])
    apart = [sum((a - c) ** 2 for a, c in zip(axes, centre, strict=False)) for centre in centres]
    truth = np.select([apart[0] < 45, apart[1] < 45], [1, 2])
    distance = border_distance(truth)
    mask = np.where(truth > 0, 0.9, 0.1)
    assert WatershedInstances()(mask, 0.5).max() == 1
    found = WatershedInstances(seeds="distance")(mask, 0.5, distance[None])
    np.testing.assert_array_equal(found, truth)


def test_a_seed_lies_where_the_floor_is_reached():
    mask, distance = np.array([[0.9, 0.9, 0.2, 0.2]]), np.array([[[0.9, 0.4, 0.9, 0.9]]])
    assert WatershedInstances(seeds="distance")(mask, 0.5, distance).tolist() == [[1, 1, 0, 0]]


def test_distances_that_are_missing_or_not_read():
    mask = np.ones((2, 2))
    with pytest.raises(ValueError, match="found 0 maps of the network beside the probability, exp"):
        WatershedInstances(seeds="distance")(mask, 0.5)
    with pytest.raises(ValueError, match=r"found 1 maps .* expected 0; give the overlays"):
        WatershedInstances()(mask, 0.5, mask[None])
    with pytest.raises(ValueError, match="seeds: found mask, expected probability or distance"):
        WatershedInstances(seeds="mask")


def test_volumes_too():
    volume = np.zeros((3, 4, 5))
    volume[0, 0, 0] = volume[2, 3, 4] = 0.9
    assert WatershedInstances()(volume, 0.5).max() == 2


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"floor": 0.0}, "floor: found 0.0, expected a probability above 0"),
        ({"floor": 1.5}, "floor: found 1.5"),
        ({"min_seed_pixels": -1}, "min_seed_pixels: found -1, expected 0 or more pixels"),
    ],
)
def test_user_errors(settings, line):
    with pytest.raises(ValueError, match=line):
        WatershedInstances(**settings)


@pytest.mark.parametrize("shape", [(80, 90), (20, 22, 24)])
@pytest.mark.parametrize(
    ("threshold", "floor", "least"), [(0.7, 0.5, 0), (0.6, 0.3, 5), (0.5, 0.9, 3)]
)
def test_the_borders_are_those_of_a_watershed_of_the_whole_image(shape, threshold, floor, least):
    noise = gaussian_filter(np.random.default_rng(0).normal(size=shape), 1.5)
    probability = (noise - noise.min()) / np.ptp(noise)
    assert len(np.unique(probability)) == probability.size  # of equals any may be flooded first
    seeds = label(probability >= threshold)[0]
    seeds[np.bincount(seeds.ravel())[seeds] < least] = 0
    seeds = relabel_sequential(seeds)[0]
    whole = watershed(-probability, seeds, mask=probability >= min(floor, threshold))
    np.testing.assert_array_equal(WatershedInstances(floor, least)(probability, threshold), whole)
