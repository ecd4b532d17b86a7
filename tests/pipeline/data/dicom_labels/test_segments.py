"""Segmentations as masks: every kind and geometry, and what is refused."""

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from pipeline.data.dicom_labels.mask import DicomMask
from pipeline.data.dicom_labels.objects import read_object
from pipeline.data.dicom_labels.rule import LabelRule
from pipeline.data.volumes import read_volume
from tests.dicom_label_files import (
    GEOMETRIES,
    blob,
    contours_of,
    write_contours,
    write_segmentation,
    write_volume,
)

pytest.importorskip("highdicom", reason="highdicom writes the segmentations of these tests")

LOW, HIGH = blob() < 300, blob() >= 700
BOTH = {"low": LOW, "high": HIGH}
RULE = LabelRule({"low": 1, "high": 2})


@pytest.fixture
def series(tmp_path):
    return write_volume(tmp_path / "ct", blob())


def read(series, path, rule=RULE):
    return DicomMask(read_object(path), series.folder, rule).read()


def expected(series, rule=RULE):
    """Return the numbers by the image that the product reads, whose order is its own."""
    volume = read_volume(series.folder)
    low, high = rule.numbers["low"], rule.numbers["high"]
    return low * (volume.array < 300) + high * (volume.array >= 700), volume.affine


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_a_segmentation_lies_on_its_image(tmp_path, geometry, kind):
    series = write_volume(tmp_path / "ct", blob(), geometry)
    pixels = read(series, write_segmentation(tmp_path / "seg.dcm", series, BOTH, kind))
    numbers, affine = expected(series)
    assert np.array_equal(pixels.array, numbers)
    assert np.array_equal(pixels.affine, affine)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_contours_lie_on_their_image(tmp_path, geometry):
    series = write_volume(tmp_path / "ct", blob(), geometry)
    path = write_contours(tmp_path / "rt.dcm", series, contours_of(BOTH))
    assert np.array_equal(read(series, path).array, expected(series)[0])


def test_slices_of_uneven_distances_are_found_by_their_positions(tmp_path):
    series = write_volume(tmp_path / "ct", blob((30, 9, 8)))
    steps = np.where(np.arange(30) < 15, 3.0, 3.25)
    for file, depth in zip(series.data, np.cumsum(steps), strict=True):
        file.ImagePositionPatient = [0, 0, float(depth)]
        file.save_as(file.filename)
    masks = {"low": blob((30, 9, 8)) < 300, "high": blob((30, 9, 8)) >= 700}
    path = write_segmentation(tmp_path / "seg.dcm", series, masks)
    assert np.array_equal(read(series, path).array, expected(series)[0])


@pytest.mark.parametrize(("fraction", "least"), [(0.5, 100), (0.25, 50), (1.0, 200), (1e-6, 1)])
def test_a_fractional_segment_has_a_voxel_from_a_fraction(series, tmp_path, fraction, least):
    share = blob() / 1000
    path = write_segmentation(tmp_path / "seg.dcm", series, {"low": share}, "FRACTIONAL")
    stored = pydicom.dcmread(path)
    assert stored.MaximumFractionalValue == 200
    pixels = read(series, path, LabelRule({"low": 1}, fraction=fraction))
    assert np.array_equal(pixels.array.T, np.around(share * 200) >= least)


def test_frames_in_any_order_and_segments_of_any_number(series, tmp_path):
    path = write_segmentation(tmp_path / "seg.dcm", series, BOTH)
    data = pydicom.dcmread(path)
    order = np.random.default_rng(1).permutation(data.NumberOfFrames)
    planes = data.pixel_array[order]
    frames = [data.PerFrameFunctionalGroupsSequence[i] for i in order]
    for frame in frames:
        segment = frame.SegmentIdentificationSequence[0]
        segment.ReferencedSegmentNumber = {1: 9, 2: 4}[segment.ReferencedSegmentNumber]
    for segment in data.SegmentSequence:
        segment.SegmentNumber = {1: 9, 2: 4}[segment.SegmentNumber]
    data.PerFrameFunctionalGroupsSequence = frames
    data.SegmentSequence = list(data.SegmentSequence)[::-1]
    data.PixelData = pydicom.pixels.pack_bits(planes)
    data.save_as(path)
    assert np.array_equal(read(series, path).array, expected(series)[0])


def test_a_segment_in_some_slices_and_a_structure_that_is_left_out(series, tmp_path):
    some = LOW.copy()
    some[[0, 3, 4]] = False
    path = write_segmentation(tmp_path / "seg.dcm", series, {"low": some, "high": HIGH})
    assert pydicom.dcmread(path).NumberOfFrames < 12
    assert np.array_equal(read(series, path, LabelRule({"low": 7})).array.T, 7 * some)


@pytest.mark.parametrize("mirrored", [0, 1])
def test_frames_that_are_stored_the_other_way_around(series, tmp_path, mirrored):
    """dcmqi and ITK may store the rows or the columns from the other end."""
    path = write_segmentation(tmp_path / "seg.dcm", series, BOTH)
    data = pydicom.dcmread(path)
    shared = data.SharedFunctionalGroupsSequence[0]
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    rows, columns = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    axis = orientation.reshape(2, 3)[mirrored].copy()
    length = (data.Columns - 1) * columns if mirrored == 0 else (data.Rows - 1) * rows
    orientation.reshape(2, 3)[mirrored] *= -1
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = orientation.tolist()
    for frame in data.PerFrameFunctionalGroupsSequence:
        plane = frame.PlanePositionSequence[0]
        position = np.array(plane.ImagePositionPatient, float) + length * axis
        plane.ImagePositionPatient = position.tolist()
    data.PixelData = pydicom.pixels.pack_bits(np.flip(data.pixel_array, 2 - mirrored))
    data.save_as(path)
    assert np.array_equal(read(series, path).array, expected(series)[0])


def test_overlapping_segments_become_the_numbers_of_regions(series, tmp_path):
    whole, core = blob() >= 300, blob() >= 700
    path = write_segmentation(tmp_path / "seg.dcm", series, {"whole": whole, "core": core})
    mask = read(series, path, LabelRule({"whole": [1, 2], "core": 2})).array
    assert np.array_equal(mask.T, 1 * whole + core)
    with pytest.raises(ValueError, match="overlap") as error:
        read(series, path, LabelRule({"core": 1, "whole": 2}))
    assert str(error.value) == (
        f"{path}: core and whole overlap in {core.sum()} voxels, and no number means that; "
        "expected one number a voxel; make them regions, as --labels 'core=2' 'whole=1,2', or "
        "leave one out of --labels"
    )


def test_what_is_to_be_ignored_has_its_number_whatever_it_overlaps(series, tmp_path):
    path = write_segmentation(tmp_path / "seg.dcm", series, {"low": blob() < 500, "Ignore": LOW})
    mask = read(series, path, LabelRule({"low": 1}, ignore=255)).array
    assert np.array_equal(mask.T, np.where(LOW, 255, blob() < 500))


def moved(series, path, **tags):
    """Write a segmentation whose frames lie elsewhere."""
    write_segmentation(path, series, BOTH)
    data = pydicom.dcmread(path)
    shared = data.SharedFunctionalGroupsSequence[0]
    shift = np.array(tags.get("shift", (0, 0, 0)), float)
    if "spacing" in tags:
        shared.PixelMeasuresSequence[0].PixelSpacing = tags["spacing"]
    for frame in data.PerFrameFunctionalGroupsSequence:
        plane = frame.PlanePositionSequence[0]
        position = np.array(plane.ImagePositionPatient, float) + shift
        plane.ImagePositionPatient = position.tolist()
    data.save_as(path)
    return path


def test_a_segmentation_on_another_grid_is_refused(series, tmp_path):
    def refused(**tags):
        with pytest.raises(ValueError, match=r"labelled pixels|expected the grid") as error:
            read(series, moved(series, tmp_path / "seg.dcm", **tags))
        assert "\n" not in str(error.value)
        return str(error.value)

    line = refused(shift=(0.25, 0, 0))
    assert (
        "seg.dcm: frame 1 (low): pixels of 0.5 x 2 mm, the first at column, row and slice " in line
    )
    assert "0.50, 0.00, 5.00 of the image ct, whose pixels have 0.5 x 2 mm; expected the" in line
    assert "0.00, 0.00, 5.33" in refused(shift=(0, 0, 1.0))
    assert "pixels of 0.5 x 1 mm" in refused(spacing=[1.0, 0.5])
    assert "labelled pixels lie outside the image ct" in refused(shift=(1.0, 0, 0))
    assert "labelled pixels lie outside the image ct" in refused(shift=(0, 0, 30.0))


def test_a_place_within_a_tenth_of_a_voxel_is_the_same(series, tmp_path):
    path = moved(series, tmp_path / "seg.dcm", shift=(0.02, 0.1, 0.1))
    assert np.array_equal(read(series, path).array, expected(series)[0])


def test_a_truncated_segmentation_is_named(series, tmp_path):
    path = write_segmentation(tmp_path / "seg.dcm", series, BOTH)
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(ValueError, match=r"seg\.dcm: not a readable DICOM file; restore"):
        read(series, path)


def test_a_flat_image_needs_no_position(tmp_path):
    series = write_volume(
        tmp_path / "xray", blob((1, 9, 8)), Modality="DX", ImagePositionPatient=None,
        ImageOrientationPatient=None,
    )  # fmt: skip
    flat = series._replace(folder=tmp_path / "xray" / "00.dcm")
    placed = write_volume(tmp_path / "placed", blob((1, 9, 8)), series=series.uid)
    path = write_segmentation(tmp_path / "seg.dcm", placed, {"low": blob((1, 9, 8)) < 300})
    data = pydicom.dcmread(path)
    for group in (*data.SharedFunctionalGroupsSequence, *data.PerFrameFunctionalGroupsSequence):
        for name in ("PlanePositionSequence", "PlaneOrientationSequence"):
            group.pop(name, None)
    data.FrameOfReferenceUID = generate_uid()
    data.save_as(path)
    pixels = read(flat, path)
    assert pixels.affine is None
    assert np.array_equal(pixels.array, blob((1, 9, 8))[0] < 300)
