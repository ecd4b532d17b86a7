"""What is measured of a structure: by hand, in the units of its file, and only what is known."""

import numpy as np
import pytest

from pipeline.inference.confidence import Confidence, DiceEstimate
from pipeline.inference.grid import Grid
from pipeline.inference.structures import measure_structures

FLAT = Grid(is_volume=False)
HALF_MM = Grid.of_axes(np.diag([0.5, 0.5]))


@pytest.mark.parametrize(
    ("grid", "expected"), [(HALF_MM, {"pixels": 3, "mm2": 0.75}), (FLAT, {"pixels": 3})]
)
def test_an_area_needs_a_scale(grid, expected):
    mask = np.array([[[True, True, True, False]]])
    (lung,) = measure_structures(mask, {"lung": 1}, grid).values()
    assert lung.sizes == expected


def test_several_pages_have_no_area():
    (own,) = measure_structures(np.ones((3, 1, 4), bool), {}, HALF_MM).values()
    assert own.sizes == {"pixels": 12}


def test_volumes_are_in_millilitres_and_one_that_is_absent_has_none():
    mask = np.zeros((10, 10, 10), np.uint8)
    mask[:5] = 7
    grid = Grid.of_axes(np.diag([1.0, 1.0, 6.0]))
    found = measure_structures(mask, {"liver": 7, "tumour": 9}, grid)
    assert found["liver"].sizes == {"voxels": 500, "ml": 3.0}
    assert found["tumour"].stated() == {
        "number": 9, "voxels": 0, "ml": 0.0, "components": 0, "touches_border": False,
    }  # fmt: skip
    assert measure_structures(mask, {"liver": 7}, grid)["liver"].sizes["ml"] == 3.0


def test_voxels_of_no_size_have_no_volume():
    mask = np.ones((2, 2, 2), np.uint8)
    (own,) = measure_structures(mask, {}, Grid(is_volume=True)).values()
    assert own.sizes == {"voxels": 8}


def test_components_and_border_of_a_volume():
    mask = np.zeros((6, 6, 6), np.uint8)
    mask[1, 1, 1] = mask[2, 2, 2] = 3  # they touch by a corner
    mask[4, 4, 4:] = 5  # up to the last slice
    grid = Grid(is_volume=True)
    found = measure_structures(mask, {"both": [3, 5], "b": 5}, grid)
    assert [(own.components, own.touches_border) for own in found.values()] == [
        (3, True),
        (1, True),
    ]
    (inner, _) = measure_structures(mask, {"a": 3, "b": 5}, grid).values()
    assert (inner.components, inner.touches_border) == (2, False)


def test_pages_are_apart():
    mask = np.zeros((2, 5, 5), np.uint8)
    mask[:, 2, 2] = 1  # on both pages, which have nothing to do with each other
    (inner,) = measure_structures(mask, {}, FLAT).values()
    assert (inner.components, inner.touches_border) == (2, False)
    mask[1, 4, 0] = 1
    (outer,) = measure_structures(mask, {}, FLAT).values()
    assert (outer.components, outer.touches_border) == (3, True)


def test_numbers_are_those_of_the_mask():
    mask = np.array([[[1, 2, 1035]]], np.uint16)
    found = measure_structures(mask, {"whole": [1, 2, 1035], "core": [2, 1035]}, FLAT)
    assert [(own.number, own.sizes["pixels"]) for own in found.values()] == [(1, 3), (2, 2)]


def test_the_confidence_by_hand():
    """Probabilities 0.5 and 1 in the mask, 0.5 outside: entropies 1 and 0; 2 x 1.5 / (2 + 2)."""
    mask = np.array([[[True, True, False]]])
    own = Confidence(pixels=2, within=1.5, everywhere=2.0, entropy=1.0)
    estimates = {"lung": DiceEstimate(bias=0.05, sd=0.02, n=5)}
    (lung,) = measure_structures(mask, {"lung": 1}, FLAT, [own], estimates).values()
    assert (lung.mean_probability, lung.entropy) == (0.75, 0.5)
    assert (lung.expected_dice, lung.expected_dice_sd) == (0.8, 0.02)


def test_the_dice_to_expect_is_not_known_from_few_cases_or_of_nothing():
    mask = np.array([[[True, False]]])
    own = Confidence(1, 1.0, 1.0, 0.0)
    few = {"lung": DiceEstimate(bias=0.05, sd=0.02, n=4)}
    enough = {"lung": few["lung"].model_copy(update={"n": 5})}
    for sums, estimates in ((own, few), (own, {}), (Confidence.of_none(), enough)):
        (lung,) = measure_structures(mask, {"lung": 1}, FLAT, [sums], estimates).values()
        assert "expected_dice" not in lung.stated()
        assert "expected_dice_sd" not in lung.stated()
    (lung,) = measure_structures(mask, {"lung": 1}, FLAT, [own], enough).values()
    assert lung.expected_dice == 1  # and never above
