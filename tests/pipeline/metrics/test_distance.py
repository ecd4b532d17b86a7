import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.metrics import (
    compute_average_surface_distance,
    compute_hausdorff_distance,
    compute_surface_dice,
)
from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter

from pipeline.metrics import distance as distances
from pipeline.metrics.distance import surface_distance

MASKS = arrays(bool, (7, 9), elements=st.booleans()).filter(lambda mask: mask.any())


def disc(row, column, radius, shape=(40, 50)):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


@pytest.mark.parametrize("spacing", [None, (0.5, 2.0)])
def test_agrees_with_monai_where_both_are_there(spacing):
    first, second = disc(18, 20, 9), disc(21, 26, 11)
    batch = [torch.from_numpy(each)[None, None].float() for each in (first, second)]
    distance = surface_distance(first, second, spacing)
    reference = compute_hausdorff_distance(
        *batch, include_background=True, percentile=95, spacing=spacing
    )
    assert distance.hd95 == pytest.approx(float(reference), rel=1e-5)
    there = compute_average_surface_distance(
        *batch, include_background=True, symmetric=True, spacing=spacing
    )
    assert distance.asd == pytest.approx(float(there), rel=1e-5)


@pytest.mark.parametrize("spacing", [None, (0.5, 2.0), (0.7, 0.7)])
@pytest.mark.parametrize("tolerance", [0, 0.7, 1, 2.1, 3])
def test_the_surface_dice_is_monais(spacing, tolerance):
    first, second = disc(18, 20, 9), disc(21, 26, 11) | disc(5, 45, 4)
    batch = [torch.from_numpy(each)[None, None].float() for each in (first, second)]
    reference = compute_surface_dice(
        *batch, [tolerance + 1e-6], include_background=True, spacing=spacing
    )
    ours = surface_distance(first, second, spacing, tolerance).dice
    assert ours == pytest.approx(float(reference), rel=1e-6)
    assert 0 < ours < 1


def test_the_surface_dice_by_hand():
    """A row of four pixels against one of six: 4 of 4 and 5 of 6 are within one pixel, 0.5 mm."""
    first, second = np.zeros((2, 1, 9), bool)
    first[0, 1:5] = second[0, 1:7] = True
    assert surface_distance(first, second, (3, 0.5), tolerance=0.5).dice == pytest.approx(9 / 10)
    assert surface_distance(first, second, (3, 0.5), tolerance=0.4).dice == pytest.approx(8 / 10)
    assert surface_distance(first, second, (3, 0.5), tolerance=1.0).dice == 1


def test_a_distance_of_exactly_the_tolerance_is_within_it():
    """3 x 0.1 is computed as 0.30000000000000004, and 3 x 1.1 as 3.3000000000000003."""
    one, other = np.zeros((2, 1, 9), bool)
    one[0, 0] = other[0, 3] = True
    for side in (0.1, 1.1):
        assert surface_distance(one, other, (1, side), tolerance=round(3 * side, 1)).dice == 1


def test_a_volume_in_millimetres():
    first, second = np.zeros((4, 5, 6), bool), np.zeros((4, 5, 6), bool)
    first[1, 1, 1] = second[3, 1, 1] = True
    assert surface_distance(first, second, (2.5, 1, 1)) == (5.0, 5.0, None, "found")


@settings(max_examples=60)
@given(MASKS, MASKS)
def test_symmetric_and_zero_only_for_equal_surfaces(first, second):
    distance = surface_distance(first, second)
    back = surface_distance(second, first)
    assert (distance.hd95, distance.asd) == pytest.approx((back.hd95, back.asd))
    assert surface_distance(first, first)[:2] == (0, 0)
    assert distance.asd <= 11.4


def test_misses_cost_the_diagonal_and_are_told():
    nothing, something = np.zeros((3, 4), bool), np.ones((3, 4), bool)
    assert surface_distance(nothing, something, (1, 1)) == (5.0, 5.0, None, "missed")
    assert surface_distance(something, nothing, (1, 1), 9) == (5.0, 5.0, 0.0, "invented")
    assert surface_distance(nothing, nothing) == (0.0, 0.0, None, "both empty")
    assert surface_distance(nothing, nothing, tolerance=0).dice == 1


def test_mistakes():
    mask = np.ones((3, 4), bool)
    with pytest.raises(ValueError, match="expected one shape"):
        surface_distance(mask, mask.T)
    with pytest.raises(ValueError, match="spacing: found 3 numbers for an image of 2"):
        surface_distance(mask, mask, (1, 1, 1))
    with pytest.raises(ValueError, match="tolerance: found -1; expected a distance"):
        surface_distance(mask, mask, tolerance=-1)


def by_maps(first, second, spacing):
    """The definition: from each pixel of a surface in a map of all distances to the other."""
    one, other = (mask & ~binary_erosion(mask) for mask in (first, second))
    there = distance_transform_edt(~other, spacing)[one]
    back = distance_transform_edt(~one, spacing)[other]
    hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
    return hd95, np.concatenate([there, back]).mean()


@pytest.mark.parametrize(("shape", "spacing"), [((60, 70), (0.7, 1.3)), ((30, 28, 20), (1, 1, 3))])
@pytest.mark.parametrize("blur", [0, 1, 3])
@pytest.mark.parametrize("searched", [False, True])
def test_the_distances_are_those_of_maps(shape, spacing, blur, searched, monkeypatch):
    """Of noise and of few large structures, whichever way they are found."""
    if searched:
        monkeypatch.setattr(distances, "distance_transform_edt", None)
        monkeypatch.setattr(distances, "_is_dense", lambda first, second: False)
    rng = np.random.default_rng(0)
    masks = [gaussian_filter(rng.normal(size=shape), blur) > 0.01 for _ in range(2)]
    measured = surface_distance(*masks, spacing)
    assert measured[:2] == pytest.approx(by_maps(*masks, spacing), rel=1e-12)


def test_few_pixels_are_searched_and_not_mapped(monkeypatch):
    monkeypatch.setattr(distances, "distance_transform_edt", None)
    assert surface_distance(disc(18, 20, 9), disc(21, 26, 11)).outcome == "found"
