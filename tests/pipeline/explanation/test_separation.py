import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pipeline.explanation.separation import boundary_band, separations


def test_the_area_is_scikit_learns_with_ties():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 6, 400).astype(np.float32)
    marks = np.stack([values + rng.normal(0, 3, 400) > 3, rng.random(400) < 0.2])
    for found, mark in zip(separations(values, marks), marks, strict=True):
        assert found.auc == pytest.approx(roc_auc_score(mark, values))
        every = [values >= t for t in np.unique(values)]
        best = max(2 * (above & mark).sum() / (above.sum() + mark.sum()) for above in every)
        assert found.dice == pytest.approx(best)


def test_a_map_and_its_negative_are_one_where_the_sign_is_free():
    values = np.float32([5, 4, 3, 2, 1])
    mark = np.array([[False, False, False, True, True]])
    (turned,) = separations(values, mark, sign_free=True)
    assert (turned.auc, turned.dice) == (1.0, 1.0)
    (as_it_is,) = separations(values, mark)
    assert as_it_is.auc == 0
    assert as_it_is.dice == pytest.approx(4 / 7), "all pixels, two of five are marked"


def test_without_a_marked_pixel_or_another_one_there_is_no_area():
    assert separations(np.float32([1, 2]), np.array([[True, True], [False, False]])) == (None, None)


def test_a_map_of_the_region_shows_the_boundary_worse_and_a_map_of_the_boundary_the_region():
    region = np.zeros((32, 32), bool)
    region[8:24, 8:24] = True
    band = boundary_band(region, 2)
    marks = np.stack([band.ravel(), region.ravel()])
    of_region, of_band = (
        separations(shown.ravel().astype(np.float32), marks) for shown in (region, band)
    )
    assert of_region[1].auc == 1 > of_region[0].auc
    assert of_band[0].auc == 1 > of_band[1].auc


def test_the_image_border_is_no_boundary():
    region = np.zeros((6, 6), bool)
    region[:, 3:] = True
    assert boundary_band(region, 1).astype(int).tolist() == [[0, 0, 1, 1, 0, 0]] * 6
    assert not boundary_band(np.ones((6, 6), bool)).any()


def test_the_band_grows_with_the_image_and_volumes_have_one():
    region = np.zeros((128, 128), bool)
    region[:, 64:] = True
    assert boundary_band(region)[0].sum() == 4, "a 64th of 128 on each side"
    cube = np.zeros((6, 6, 6), bool)
    cube[2:4, 2:4, 2:4] = True
    assert boundary_band(cube, 1).sum() == 8 + 6 * 4
