"""Of a bundle that separates instances, each is a segment, an outline, a group of the report."""

import numpy as np
import pydicom
import pytest
from scipy import ndimage

from pipeline.data.volumes import read_volume
from pipeline.dicom.instances import check_count
from pipeline.inference.further_results import Instances
from pipeline.inference.grid import Grid
from pipeline.inference.predicted import numbered_over
from pipeline.inference.structures import instance_sizes
from tests.pipeline.dicom.conftest import SPACING, STRUCTURES, inferred
from tests.pipeline.dicom.test_report import measured
from tests.pipeline.dicom.test_rtstruct import rasterised
from tests.pipeline.dicom.test_seg import LPS_TO_RAS, placed_again, placed_frames

LIVER, ONE_LABEL = STRUCTURES[:1], {"liver": 3}


def separated(reference, numbers=None):
    """Return an image with the pieces of its mask as instances, or with these numbers."""
    image = inferred(reference)
    if numbers is None:
        numbers, _ = ndimage.label(image.mask == 3)
        numbers[numbers > 40] = 0  # a real series has a thousand pieces
    spacing = [*SPACING[::-1], 1.5] if image.is_volume else SPACING[::-1]
    sizes = instance_sizes(numbers, Grid.of_axes(np.diag(spacing)))
    mask = np.where(numbers, 3, 0).astype(np.uint8)
    instances = Instances(numbers, sizes)
    return image._replace(mask=mask, maps=image.maps[:1], instances=instances)


def of_one_label(results, image, kinds=("seg",), segments="binary"):
    return results(image, kinds, segments, LIVER, ONE_LABEL)


def dots(shape, count):
    """Instances of one voxel each, apart from each other."""
    numbers = np.zeros(shape, np.int32)
    places = np.flatnonzero(np.indices(shape).sum(0) % 2 == 0)[:count]
    numbers.ravel()[places] = np.arange(1, count + 1)
    return numbers


@pytest.mark.parametrize("kind", ["reversed", "frames", "hippocampus_crop", "x_ray"])
def test_each_instance_is_a_segment(made, results, kind):
    reference = made(kind)
    image = separated(reference)
    seg = of_one_label(results, image)["seg.dcm"]
    count = int(image.instances.numbers.max())
    assert count > 3
    assert [item.SegmentLabel for item in seg.SegmentSequence] == [
        f"liver {number}" for number in range(1, count + 1)
    ]
    codes = {item.SegmentedPropertyTypeCodeSequence[0].CodeValue for item in seg.SegmentSequence}
    assert codes == {LIVER[0].type.value}
    assert len({item.TrackingUID for item in seg.SegmentSequence}) == count
    colours = [tuple(item.RecommendedDisplayCIELabValue) for item in seg.SegmentSequence]
    assert colours[0] != colours[1]
    if kind == "x_ray":
        masks = seg.pixel_array.reshape(count, 1, seg.Rows, seg.Columns)
    else:
        masks = placed_again(seg, read_volume(reference))
    for number, mask in enumerate(masks, start=1):
        np.testing.assert_array_equal(mask, image.instances.numbers == number)


def test_a_report_has_a_group_for_each_instance(made, results):
    image = separated(made("plain"))
    written = of_one_label(results, image, ("seg", "sr"))
    *groups, total = measured(written["sr.dcm"])
    counts = np.bincount(image.instances.numbers.ravel())[1:]
    assert len(groups) == len(counts) > 3
    assert total["Quantity"] == (len(counts), "1")
    together = counts.sum() * SPACING[0] * SPACING[1] * 1.5 / 1000
    assert total["Volume"] == (pytest.approx(together, rel=1e-3), "mL")
    for group, voxels in zip(groups, counts, strict=True):
        expected = voxels * SPACING[0] * SPACING[1] * 1.5 / 1000
        assert group["Volume"] == (pytest.approx(expected, rel=1e-3), "mL")
        assert group["Probability of the structure by the network"][0] == pytest.approx(
            200 / 255, abs=1e-3
        )
    text = written["sr.dcm"].to_json()
    assert all(item.TrackingUID in text for item in written["seg.dcm"].SegmentSequence)


def test_each_instance_has_its_contours(made, results):
    reference = made("plain")
    image = separated(reference)
    contours = of_one_label(results, image, ("rtstruct",))["rtstruct.dcm"]
    volume = read_volume(reference)
    to_voxels = np.linalg.inv(volume.affine) @ LPS_TO_RAS
    names = [roi.ROIName for roi in contours.StructureSetROISequence]
    assert names == [f"liver {n}" for n in range(1, int(image.instances.numbers.max()) + 1)]
    for number, item in enumerate(contours.ROIContourSequence, start=1):
        drawn = np.zeros(volume.array.shape, bool)
        for contour in item.ContourSequence:
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            x, y, z = (to_voxels @ np.c_[points, np.ones(len(points))].T)[:3]
            plane = round(float(z[0]))
            drawn[:, :, plane] ^= rasterised(np.c_[x, y], volume.array.shape[1::-1]).T
        np.testing.assert_array_equal(drawn, image.instances.numbers == number)


def test_more_than_viewers_list_are_a_label_map(made, results):
    reference = made("plain")
    shape = read_volume(reference).array.shape
    most = separated(reference, dots(shape, 255))
    assert len(of_one_label(results, most)["seg.dcm"].SegmentSequence) == 255
    image = separated(reference, dots(shape, 300))
    for kinds, remedy in [(("seg",), "a binary seg .* give --dicom-seg labelmap"),
                          (("rtstruct",), "an rtstruct .* leave rtstruct out"),
                          (("sr", "seg"), "an sr .* leave sr out")]:  # fmt: skip
        segments = "labelmap" if "sr" in kinds else "binary"
        with pytest.raises(ValueError, match=f"plain: found 300 instances, and {remedy}"):
            of_one_label(results, image, kinds, segments)
    seg = of_one_label(results, image, ("seg",), "labelmap")["seg.dcm"]
    assert seg.BitsAllocated == 16
    assert [item.SegmentLabel for item in seg.SegmentSequence][-1] == "liver 300"
    volume, read = read_volume(reference), np.zeros(shape, int)
    to_voxels = np.linalg.inv(volume.affine) @ LPS_TO_RAS
    for _, affine, values in placed_frames(seg):
        plane = round(float((to_voxels @ affine)[2, 3]))
        read[:, :, plane] = values.T
    np.testing.assert_array_equal(read, image.instances.numbers)
    with pytest.raises(ValueError, match=r"65536 instances, .* at most 65535; leave seg out"):
        check_count(reference, 65536, ["seg"], "labelmap")
    check_count(reference, 65536, ["capture"], "binary")


def test_without_an_instance_the_segment_is_empty(made, results):
    image = separated(made("x_ray"), np.zeros((1, 24, 20), np.int32))
    written = of_one_label(results, image, ("seg", "sr"))
    seg = written["seg.dcm"]
    assert [item.SegmentLabel for item in seg.SegmentSequence] == ["liver"]
    assert not seg.pixel_array.any()
    assert measured(written["sr.dcm"])[-1] == {"Quantity": (0, "1")}


def test_a_report_of_a_flat_image_has_the_area_of_all_instances(made, results):
    image = separated(made("x_ray"))
    total = measured(of_one_label(results, image, ("seg", "sr"))["sr.dcm"])[-1]
    pixels = (image.instances.numbers > 0).sum()
    assert total["Area"] == (pytest.approx(pixels * SPACING[0] * SPACING[1], rel=1e-3), "mm2")


def test_a_picture_outlines_neighbours_in_two_colours(made, results, tmp_path):
    reference = made("plain")
    numbers = np.zeros(read_volume(reference).array.shape, np.int32)
    numbers[4:8, 4:9, 2], numbers[8:12, 4:9, 2] = 1, 2
    written = of_one_label(results, separated(reference, numbers), ("capture",))
    picture = written["capture_0003.dcm"].pixel_array
    assert tuple(picture[6, 7]) != tuple(picture[6, 8])
    assert pydicom.dcmread(tmp_path / "results" / "capture_0003.dcm").Rows == picture.shape[0]


def test_instances_of_slices_have_numbers_of_their_own():
    """A flat network begins with 1 in each slice."""
    numbers = numbered_over([np.array([[1, 0, 2]]), np.array([[0, 0, 0]]), np.array([[1, 1, 0]])])
    assert numbers.tolist() == [[[1, 0, 2]], [[0, 0, 0]], [[3, 3, 0]]]
    sizes = instance_sizes(numbers, Grid.of_axes(np.diag([1.0, 2.0, 5.0])))
    assert [size["voxels"] for size in sizes] == [1, 1, 2]
    assert sizes[2]["ml"] == 0.02
