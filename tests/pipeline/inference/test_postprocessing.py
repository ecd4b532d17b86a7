import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_fill_holes, label
from skimage.morphology import remove_small_holes, remove_small_objects

from pipeline.inference import OperatingPoint
from pipeline.inference.postprocessing import Postprocessing, candidates

MASKS = st.sampled_from([(7, 8), (4, 5, 6), (9,)]).flatmap(
    lambda shape: arrays(bool, shape, elements=st.booleans())
)


@pytest.fixture
def probability():
    return np.random.default_rng(0).random((40, 41))


def test_small_components_are_removed_as_in_scikit_image(probability):
    expected = remove_small_objects(probability >= 0.5, max_size=7)
    assert np.array_equal(Postprocessing(min_pixels=8)(probability, 0.5), expected)


def test_holes_are_filled_as_in_scikit_image():
    mask = np.zeros((9, 9))
    mask[1:8, 1:8] = 1
    mask[3:5, 3:6] = 0
    mask[0, 0] = 1
    expected = remove_small_holes(mask > 0, max_size=20)
    assert np.array_equal(Postprocessing(fill_holes=True)(mask, 0.5), expected)


def test_the_largest_only_then_its_holes():
    mask = np.zeros((9, 12))
    mask[1:6, 1:6], mask[3, 3], mask[1:4, 8:11], mask[2, 9] = 1, 0, 1, 0
    mask = Postprocessing(largest_only=True, fill_holes=True)(mask, 0.5)
    assert mask.sum() == 25
    assert not mask[:, 7:].any()


def test_nothing_is_done_by_default_and_an_empty_mask_stays(probability):
    assert np.array_equal(Postprocessing()(probability, 0.3), probability >= 0.3)
    everything = Postprocessing(min_pixels=9, largest_only=True, fill_holes=True)
    assert not everything(np.zeros((3, 4)), 0.5).any()


def test_a_volume():
    mask = np.zeros((5, 5, 5))
    mask[1:4, 1:4, 1:4], mask[2, 2, 2], mask[0, 0, 0] = 1, 0, 1
    assert Postprocessing(min_pixels=2, fill_holes=True)(mask, 0.5).sum() == 27


def test_what_is_tried():
    truth = np.zeros((20, 20), bool)
    truth[2:8, 2:8], truth[12:18, 12:18] = True, True
    tried = list(candidates([truth]))
    assert tried[0] == Postprocessing()
    assert {option.min_pixels for option in tried} == {0, 18}
    assert len(tried) == 6
    assert len(list(candidates([np.zeros((4, 4), bool)]))) == 4


def test_it_is_part_of_the_schema_of_an_operating_point():
    point = OperatingPoint(postprocessing=Postprocessing(3, fill_holes=True))
    assert OperatingPoint.model_validate_json(point.model_dump_json()) == point


def test_a_negative_size():
    with pytest.raises(ValueError, match="min_pixels: found -1"):
        Postprocessing(min_pixels=-1)


@given(MASKS)
def test_holes_are_those_of_scipy(mask):
    filled = Postprocessing(fill_holes=True)(mask.astype(float), 0.5)
    assert np.array_equal(filled, binary_fill_holes(mask))


@given(MASKS, st.integers(0, 5), st.booleans())
def test_the_components_that_stay_are_those_of_the_whole_image(mask, least, largest):
    components, count = label(mask)
    masks = [components == number for number in range(1, count + 1)]
    masks = [one for one in masks if one.sum() >= least]
    expected = np.any([max(masks, key=np.sum)] if largest and masks else masks, axis=0)
    processed = Postprocessing(min_pixels=least, largest_only=largest)(mask.astype(float), 0.5)
    assert np.array_equal(processed, expected & mask)
