"""Sizes of structures are in the units of the file."""

import numpy as np
import pytest
from monai.data import MetaTensor

from pipeline.inference.structures import structure_sizes


def image_of(*shape, sides, **meta):
    dims = len(shape) - 1
    affine = np.diag([*sides, *[1.0] * (4 - len(sides))][: dims + 1])
    return MetaTensor(np.zeros(shape), affine=affine, meta=meta)


@pytest.mark.parametrize(
    ("in_mm", "expected"), [(True, {"pixels": 3, "mm2": 0.75}), (False, {"pixels": 3})]
)
def test_an_area_needs_a_scale(in_mm, expected):
    mask = np.array([[[True, True, True, False]]])
    image = image_of(1, 1, 4, sides=(0.5, 0.5), in_mm=in_mm)
    assert structure_sizes(mask, {"lung": 1}, image) == {"lung": expected}


def test_several_pages_have_no_area():
    image = image_of(1, 1, 4, sides=(0.5, 0.5), in_mm=True)
    assert structure_sizes(np.ones((3, 1, 4), bool), {}, image) == {"foreground": {"pixels": 12}}


def test_volumes_are_in_millilitres_and_one_that_is_absent_has_none():
    mask = np.zeros((10, 10, 10), np.uint8)
    mask[:5] = 7
    image = image_of(1, 10, 10, 10, sides=(1.0, 1.0, 6.0))
    sizes = structure_sizes(mask, {"liver": 7, "tumour": 9}, image)
    assert sizes == {"liver": {"voxels": 500, "ml": 3.0}, "tumour": {"voxels": 0, "ml": 0.0}}
    assert structure_sizes(mask, {"liver": 7}, image)["liver"]["ml"] == 3.0
