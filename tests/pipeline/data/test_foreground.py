"""Intensities inside the masks, however a mask is stored."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from pipeline.data.fingerprint import CaseStatistics, fingerprint
from pipeline.data.foreground import MAX_SAMPLES, foreground_intensities, sample_foreground
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
        sample = sample_foreground(image, Pixels(np.asarray(turned.dataobj), turned.affine))
        assert sorted(sample.intensities.tolist()) == expected


def test_a_large_mask_counts_as_a_small_one():
    image = Pixels(np.full((300, 300), 7.0))
    values = sample_foreground(image, Pixels(np.ones((300, 300), np.uint8))).intensities
    assert 0.5 * MAX_SAMPLES < len(values) <= MAX_SAMPLES
    few = np.full(len(values), 9, np.float32)
    assert foreground_intensities([values, few])["mean"] == 8


def test_nan_colour_and_other_sizes_count_nothing():
    mask = Pixels(np.ones((2, 2), np.uint8))
    sample = sample_foreground(Pixels(np.array([[np.nan, 1], [2, np.inf]])), mask)
    assert sample.intensities.tolist() == [1, 2]
    assert len(sample.numbers) == 2
    for image in (np.zeros((2, 2, 3), np.uint8), np.zeros((3, 2), np.uint8)):
        assert sample_foreground(Pixels(image), mask).intensities.size == 0


def test_voxels_that_are_ignored_do_not_count():
    """A window of CT by the voxels inside the masks is that of the structures alone."""
    image, label = np.array([[40, 60], [3000, 0]]), np.array([[1, 2], [255, 0]])
    case = CaseStatistics(Path("image"), Path("mask"), "training", {})
    case = case._replace(foreground=sample_foreground(Pixels(image), Pixels(label)))
    assert fingerprint([case])["foreground_intensities"]["mean"] == pytest.approx(3100 / 3)
    assert fingerprint([case], ignore=255)["foreground_intensities"]["mean"] == 50
