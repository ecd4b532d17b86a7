"""Contours give the mask again, rasterised by other means than those that made them."""

import numpy as np
import pydicom
import pytest

from pipeline.data.volumes import read_volume
from pipeline.dicom.contours import outlines
from tests.pipeline.dicom.conftest import LABELS, STRUCTURES, blobs, inferred

LPS_TO_RAS = np.diag([-1.0, -1, 1, 1])
FINE = 8  # picture pixels a pixel of the mask


def rasterised(polygon, shape):
    """Pixels whose centres lie in a polygon, by the crossings of a ray from each."""
    rows, columns = np.indices(shape)
    inside = np.zeros(shape, bool)
    for (x, y), (next_x, next_y) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        crossed = (y > rows) != (next_y > rows)
        with np.errstate(divide="ignore", invalid="ignore"):
            inside ^= crossed & (columns < (next_x - x) * (rows - y) / (next_y - y) + x)
    return inside


@pytest.mark.parametrize("seed", range(4))
def test_outlines_give_the_mask_again(seed):
    mask = blobs((30, 36), seed) > 0
    drawn = np.zeros(mask.shape, int)
    for polygon in outlines(mask):
        drawn += rasterised(polygon, mask.shape)
    np.testing.assert_array_equal(drawn, mask)  # no pixel twice, no hole filled


def test_outlines_are_within_half_a_pixel_of_the_mask():
    mask = np.pad(blobs((16, 20)) > 0, 1)
    fine = tuple(side * FINE for side in mask.shape)
    picture = np.zeros(fine, bool)
    for polygon in outlines(mask):
        picture ^= rasterised((polygon + 0.5) * FINE - 0.5, fine)
    whole = np.kron(mask, np.ones((FINE, FINE), bool))
    differs = np.argwhere(picture != whole)
    # to the nearest side between a pixel within and one outside
    edges = np.argwhere(
        np.diff(whole, axis=0, prepend=False) | np.diff(whole, axis=1, prepend=False)
    )
    nearest = [np.min(np.hypot(*(edges - place).T)) for place in differs]
    assert max(nearest) <= FINE / 2 + 1


def test_a_hole_in_a_hole_and_a_bridge_of_one_pixel():
    mask = np.ones((9, 9), bool)
    mask[1:8, 1:8] = False
    mask[2:7, 2:7] = True
    mask[3:6, 3:6] = False
    mask[4, 4] = True
    polygons = outlines(mask)
    assert len(polygons) == 3
    np.testing.assert_array_equal(sum(rasterised(p, mask.shape) for p in polygons), mask)
    assert outlines(np.zeros((3, 3), bool)) == []


@pytest.mark.parametrize(
    "kind", ["plain", "reversed", "oblique", "tilted", "frames", "hippocampus_crop"]
)
def test_contours_lie_where_the_mask_does(made, results, kind):
    reference = made(kind)
    image = inferred(reference)
    contours = results(image, ("rtstruct",))["rtstruct.dcm"]
    volume = read_volume(reference)
    to_voxels = np.linalg.inv(volume.affine) @ LPS_TO_RAS
    for item, number in zip(contours.ROIContourSequence, LABELS.values(), strict=True):
        drawn = np.zeros(volume.array.shape, bool)
        for contour in item.ContourSequence:
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            assert len(points) == contour.NumberOfContourPoints
            x, y, z = (to_voxels @ np.c_[points, np.ones(len(points))].T)[:3]
            plane = round(float(z[0]))
            np.testing.assert_allclose(z, plane, atol=5e-3)
            drawn[:, :, plane] ^= rasterised(np.c_[x, y], volume.array.shape[1::-1]).T
        np.testing.assert_array_equal(drawn, image.mask == number)


def test_a_contour_names_its_image(made, results):
    reference = made("reversed")
    contours = results(inferred(reference), ("rtstruct",))["rtstruct.dcm"]
    places = {
        data.SOPInstanceUID: float(data.ImagePositionPatient[2])
        for data in (pydicom.dcmread(path) for path in reference.iterdir())
    }
    for item in contours.ROIContourSequence:
        for contour in item.ContourSequence:
            [source] = contour.ContourImageSequence
            assert places[source.ReferencedSOPInstanceUID] == pytest.approx(contour.ContourData[2])
    names = [roi.ROIName for roi in contours.StructureSetROISequence]
    assert names == [structure.name for structure in STRUCTURES]
    assert [tuple(i.ROIDisplayColor) for i in contours.ROIContourSequence] == [
        structure.colour for structure in STRUCTURES
    ]


def test_a_structure_without_a_pixel_has_no_contour(made, results):
    image = inferred(made("plain"))
    image.mask[image.mask == 5] = 0
    contours = results(image, ("rtstruct",))["rtstruct.dcm"]
    assert [len(item.get("ContourSequence", ())) > 0 for item in contours.ROIContourSequence] == [
        True, False,
    ]  # fmt: skip


def test_an_x_ray_has_no_contours(made, results):
    with pytest.raises(ValueError, match=r"no position .* leave rtstruct out of --dicom"):
        results(inferred(made("x_ray")), ("seg", "rtstruct"))
