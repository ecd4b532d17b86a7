"""Contours as pixels: agreement with independent rasterisers, holes, and what is refused."""

import re

import numpy as np
import pytest
from matplotlib.path import Path as Polygon
from scipy import ndimage
from skimage.draw import polygon2mask

from pipeline.data.dicom_labels.contours import rasterise
from pipeline.data.dicom_labels.mask import DicomMask
from pipeline.data.dicom_labels.objects import read_object
from pipeline.data.dicom_labels.rule import LabelRule
from tests.dicom_label_files import blob, contours_of, write_contours, write_volume

SHAPE = (40, 50)
SQUARE = np.array([[4.5, 4.5], [20.5, 4.5], [20.5, 16.5], [4.5, 16.5]])
HOLE = np.array([[8.5, 8.5], [12.5, 8.5], [12.5, 12.5], [8.5, 12.5]])


def star(rng, corners=17):
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = rng.uniform(4, 18, corners)[:, None]
    return np.array([25.0, 20.0]) + radii * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def distances_to_edges(polygon):
    """Return the distance of each pixel's centre to the nearest edge."""
    centres = np.stack(np.meshgrid(np.arange(SHAPE[1]), np.arange(SHAPE[0])), axis=-1)
    nearest = np.full(SHAPE, np.inf)
    for start, end in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        along = end - start
        share = np.clip((centres - start) @ along / (along @ along), 0, 1)
        nearest = np.minimum(
            nearest, np.linalg.norm(centres - start - share[..., None] * along, axis=-1)
        )
    return nearest


@pytest.mark.parametrize("seed", range(8))
def test_independent_rasterisers_differ_by_less_than_half_a_pixel_at_the_edge(seed):
    polygon = star(np.random.default_rng(seed))
    ours = rasterise([polygon], SHAPE)
    of_skimage = polygon2mask(SHAPE, polygon[:, ::-1])
    columns, rows = np.meshgrid(np.arange(SHAPE[1]), np.arange(SHAPE[0]))
    inside = Polygon(polygon).contains_points(np.stack([columns, rows], axis=-1).reshape(-1, 2))
    assert ours.sum() > 50
    for other in (of_skimage, inside.reshape(SHAPE)):
        assert distances_to_edges(polygon)[ours != other].max(initial=0) < 1e-6


def test_the_border_of_the_pixels_is_within_half_a_pixel_of_the_contour():
    polygon = star(np.random.default_rng(1))
    ours = rasterise([polygon], SHAPE)
    border = ours ^ ndimage.binary_erosion(ours)
    assert distances_to_edges(polygon)[border].max() <= 1.0  # centre to centre: half to each side
    far = distances_to_edges(polygon) > 0.5
    assert np.array_equal(ours[far], polygon2mask(SHAPE, polygon[:, ::-1])[far])


def test_a_contour_within_another_is_a_hole():
    mask = rasterise([SQUARE, HOLE], SHAPE)
    assert mask.sum() == 16 * 12 - 4 * 4
    assert not mask[9:13, 9:13].any()


def test_a_keyhole_is_the_same_hole():
    # in by one corner of the hole, around it, and out the same way
    keyhole = np.concatenate([SQUARE, SQUARE[:1], HOLE, HOLE[:1]])
    assert np.array_equal(rasterise([keyhole], SHAPE), rasterise([SQUARE, HOLE], SHAPE))
    slanted = np.concatenate([SQUARE + 0.3, SQUARE[:1] + 0.3, HOLE + 0.21, HOLE[:1] + 0.21])
    alone = rasterise([SQUARE + 0.3, HOLE + 0.21], SHAPE)
    assert np.array_equal(rasterise([slanted], SHAPE), alone)


def test_direction_and_first_corner_do_not_matter():
    polygon = star(np.random.default_rng(3))
    ours = rasterise([polygon], SHAPE)
    assert np.array_equal(rasterise([polygon[::-1]], SHAPE), ours)
    assert np.array_equal(rasterise([np.roll(polygon, 5, axis=0)], SHAPE), ours)


def test_neighbours_share_no_pixel_and_leave_no_gap():
    right = SQUARE + np.array([16.0, 0.0])
    for shift in (0.0, 0.5, 0.25):  # edges on centres, too
        one, other = (rasterise([part + shift], SHAPE) for part in (SQUARE, right))
        assert not (one & other).any()
        assert (one | other).sum() == 32 * 12


def test_a_contour_that_leaves_the_image_is_cut():
    around = np.array([[-9.0, -9.0], [99.0, -9.0], [99.0, 99.0], [-9.0, 99.0]])
    assert rasterise([around], SHAPE).all()


@pytest.fixture
def series(tmp_path):
    return write_volume(tmp_path / "ct", blob())


def read(series, path, **numbers):
    labels = read_object(path)
    return DicomMask(labels, series.folder, LabelRule(numbers or {"liver": 1})).read().array


def refused(series, path, regions):
    with pytest.raises(ValueError, match=re.escape(str(path))) as error:
        read(series, write_contours(path, series, regions))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_names_do_not_depend_on_capitals(series, tmp_path):
    regions = contours_of({"LIVER": blob() > 500})
    mask = read(series, write_contours(tmp_path / "rt.dcm", series, regions))
    assert np.array_equal(mask.T, blob() > 500)


def test_contours_of_type_xor_are_read(series, tmp_path):
    regions = contours_of({"liver": blob() > 500})
    path = write_contours(tmp_path / "rt.dcm", series, regions, "CLOSEDPLANAR_XOR")
    assert np.array_equal(read(series, path).T, blob() > 500)


def test_points_are_no_structure(series, tmp_path):
    regions = {"isocentre": {2: [[(3.0, 3.0)]]}}
    labels = read_object(write_contours(tmp_path / "rt.dcm", series, regions, "POINT"))
    assert (labels.names, labels.without_area) == ({}, ("isocentre",))


def test_a_contour_outside_the_image_is_refused(series, tmp_path):
    line = refused(series, tmp_path / "rt.dcm", {"liver": {0: [[(1, 1), (20, 1), (20, 5)]]}})
    assert "rt.dcm: liver: a contour at columns 1.0 to 20.0, rows 1.0 to 5.0, slice 0, out" in line


def test_a_contour_across_slices_is_refused(series, tmp_path):
    tilted = write_volume(tmp_path / "other", blob(), "oblique", series=series.uid)
    path = write_contours(tmp_path / "rt.dcm", tilted, contours_of({"liver": blob() > 500}))
    with pytest.raises(ValueError, match=r"liver: a contour at slice .* expected one in a slice"):
        read(series, path)


def test_contours_in_every_other_slice_are_refused(series, tmp_path):
    every_other = {number: [[(1, 1), (5, 1), (5, 5)]] for number in (0, 2, 4)}
    line = refused(series, tmp_path / "rt.dcm", {"liver": every_other})
    assert "liver: contours in slices 0, 2, 4, …, 2 apart; expected one in every slice" in line
    uneven = {number: [[(1, 1), (5, 1), (5, 5)]] for number in (0, 2, 5)}
    assert read(series, write_contours(tmp_path / "rt.dcm", series, {"liver": uneven})).any()
