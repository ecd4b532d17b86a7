"""Spacing and extent of a cohort of volumes."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from pipeline.data.fingerprint import CaseStatistics, fingerprint, likeness
from pipeline.data.image_statistics import ImageStatistics, thumbnail
from pipeline.data.pixels import Pixels
from pipeline.data.readers import read_pixels
from pipeline.planning.size import MIN_ALIGNED_CORRELATION


def case(size, spacing):
    image = ImageStatistics(
        size, 1, spacing, "float32", (0.0, 1.0, 2.0), 1.0, 0.5, 0, 9, False, str(size)
    )
    return CaseStatistics(Path("image"), Path("mask"), "training", {}, image=image)


def test_percentiles_and_extents_are_of_the_cases():
    """Slices of 1, 2, …, 11 mm: the tenth percentile of eleven values is the second."""
    summary = fingerprint([case((100, 50, 12 - mm), (0.5, 2.0, float(mm))) for mm in range(1, 12)])
    assert summary["spacing_mm"] == [[0.5] * 3, [2.0] * 3, [1.0, 6.0, 11.0]]
    assert summary["spacing_percentiles_mm"] == {"10": [0.5, 2.0, 2.0]}
    # 11 x 1, 10 x 2, 9 x 3, … 6 x 6, … 1 x 11 mm: the median of the products, not of the factors
    assert summary["extent_mm"] == [[50.0] * 3, [100.0] * 3, [11.0, 27.0, 36.0]]


def test_flat_images_have_no_spacing():
    summary = fingerprint([case((64, 48), ())])
    assert summary["spacing_mm"] == summary["extent_mm"] == []
    assert summary["spacing_percentiles_mm"] == {"10": []}


def test_a_pixel_size_that_only_some_flat_files_state_is_not_the_cohorts():
    stated, unstated = case((64, 48), (0.5, 0.5)), case((64, 48), ())
    assert fingerprint([stated, stated])["spacing_mm"] == [[0.5] * 3] * 2
    summary = fingerprint([stated, unstated])
    assert summary["spacing_mm"] == summary["extent_mm"] == []
    assert summary["spacing_percentiles_mm"] == {"10": []}


def alike(pictures):
    cases = [case((64, 64), ())._replace(picture=picture) for picture in pictures]
    return likeness(cases)


def test_likeness_is_the_lower_quartile_of_the_pairs():
    """Unit vectors at 0, 60 and 90 degrees: cosines of 1/2, 0 and the square root of 3/4."""
    degrees = np.deg2rad([0, 60, 90])
    pictures = np.stack([np.cos(degrees), np.sin(degrees)], axis=1).astype(np.float32)
    assert alike(pictures) == 0.25  # half way from 0 to 1/2
    assert alike(pictures[:1]) == 0


@pytest.mark.parametrize("count", [10, 18, 25])
def test_neighbouring_slices_of_a_block_are_not_arranged_alike(real_data, count):
    slices = tifffile.imread(real_data / "isbi2012" / "train-volume.tif")[:count]
    assert alike([thumbnail(Pixels(each)) for each in slices]) < MIN_ALIGNED_CORRELATION / 2


@pytest.mark.parametrize(
    "pattern", ["shenzhen/CXR_png/*.png", "pancreas_ct/images/*.jpg", "hippocampus/imagesTr/*.gz"]
)
def test_bodies_are_arranged_alike(real_data, pattern):
    pictures = [thumbnail(read_pixels(path)) for path in sorted(real_data.glob(pattern))[:60:2]]
    assert alike(pictures) > 3 / 2 * MIN_ALIGNED_CORRELATION
