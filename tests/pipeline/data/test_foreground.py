"""Intensities inside the masks, however a mask is stored."""

import nibabel as nib
import numpy as np
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from pipeline.data.foreground import MAX_SAMPLES, foreground_intensities, foreground_values
from pipeline.data.pixels import Pixels


def test_a_mask_in_another_order_marks_the_same_voxels():
    rng = np.random.default_rng(0)
    voxels, inside = rng.normal(size=(4, 5, 6)).astype(np.float32), rng.random((4, 5, 6)) > 0.7
    image = Pixels(voxels, np.eye(4))
    expected = sorted(voxels[inside].tolist())
    label = nib.Nifti1Image(inside.astype(np.uint8), np.eye(4))
    for codes in ("RAS", "LPS", "PIR"):
        order = ornt_transform(io_orientation(label.affine), axcodes2ornt(codes))
        turned = label.as_reoriented(order)
        values = foreground_values(image, Pixels(np.asarray(turned.dataobj), turned.affine))
        assert sorted(values.tolist()) == expected


def test_a_large_mask_counts_as_a_small_one():
    image = Pixels(np.full((300, 300), 7.0))
    values = foreground_values(image, Pixels(np.ones((300, 300), np.uint8)))
    assert 0.5 * MAX_SAMPLES < len(values) <= MAX_SAMPLES
    few = np.full(len(values), 9, np.float32)
    assert foreground_intensities([values, few])["mean"] == 8


def test_nan_colour_and_other_sizes_count_nothing():
    mask = Pixels(np.ones((2, 2), np.uint8))
    assert foreground_values(Pixels(np.array([[np.nan, 1], [2, np.inf]])), mask).tolist() == [1, 2]
    assert foreground_values(Pixels(np.zeros((2, 2, 3), np.uint8)), mask).size == 0
    assert foreground_values(Pixels(np.zeros((3, 2), np.uint8)), mask).size == 0
