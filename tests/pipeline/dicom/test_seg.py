"""A segmentation is read back bit by bit, at the place of its images."""

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from pipeline.data.volumes import read_volume
from tests.pipeline.dicom.conftest import LABELS, STRUCTURES, inferred

LPS_TO_RAS = np.diag([-1.0, -1, 1, 1])
PLACED = [
    "plain",
    "reversed",
    "oblique",
    "tilted",
    "frames",
    "frames_alone",
    "hippocampus_crop",
    "t1_post",
]


def placed_frames(seg):
    """Yield segment, affine of the plane by pydicom alone, and pixels of each frame."""
    shared = seg.SharedFunctionalGroupsSequence[0]
    pixels = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    for frame, values in zip(seg.PerFrameFunctionalGroupsSequence, pixels, strict=True):
        position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
        rows, columns = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
        affine = np.eye(4)
        affine[:3, 0] = np.array(orientation[:3], float) * columns
        affine[:3, 1] = np.array(orientation[3:], float) * rows
        affine[:3, 3] = position
        name = "SegmentIdentificationSequence"  # of one segment, in what the frames share
        identification = frame.get(name) or shared.get(name)
        number = identification[0].ReferencedSegmentNumber if identification else None
        yield number, affine, values


def placed_again(seg, volume):
    """Return the masks of the segments in the voxels of a volume, by their places in space."""
    masks = np.zeros((len(seg.SegmentSequence), *volume.array.shape), np.uint8)
    to_voxels = np.linalg.inv(volume.affine) @ LPS_TO_RAS
    for number, affine, values in placed_frames(seg):
        rows, columns = np.indices(values.shape)
        points = np.stack([columns, rows, 0 * rows, 1 + 0 * rows]).reshape(4, -1)
        voxels = to_voxels @ affine @ points
        np.testing.assert_allclose(voxels, np.rint(voxels), atol=2e-3)  # corners and all between
        x, y, z = np.rint(voxels[:3]).astype(int)
        masks[number - 1, x, y, z] = values.ravel()
    return masks


@pytest.mark.parametrize("kind", PLACED)
def test_a_mask_is_read_back_at_its_place(made, results, kind):
    reference = made(kind)
    image = inferred(reference)
    seg = results(image)["seg.dcm"]
    masks = placed_again(seg, read_volume(reference))
    for mask, number in zip(masks, LABELS.values(), strict=True):
        np.testing.assert_array_equal(mask, image.mask == number)


@pytest.mark.parametrize("kind", ["plain", "reversed", "oblique", "hippocampus_crop"])
def test_highdicom_and_itk_agree_on_the_corners(made, results, tmp_path, kind):
    reference = made(kind)
    image = inferred(reference)
    results(image)
    volume = hd.seg.segread(tmp_path / "results" / "seg.dcm").get_volume(combine_segments=True)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(reference))
    scan = sitk.ReadImage(names)
    corners = np.array(np.meshgrid(*[(0, side - 1) for side in scan.GetSize()])).reshape(3, -1).T
    places = [scan.TransformIndexToPhysicalPoint(tuple(map(int, c))) for c in corners]
    array = np.zeros(scan.GetSize(), np.uint8)
    for index in np.argwhere(volume.array):
        place = volume.map_indices_to_reference(index[None])[0]
        array[scan.TransformPhysicalPointToIndex(tuple(place))] = volume.array[tuple(index)]
    expected = np.select([image.mask == 3, image.mask == 5], [1, 2], 0)
    ours = read_volume(reference).affine
    np.testing.assert_array_equal(array, expected)
    np.testing.assert_allclose(
        places, (LPS_TO_RAS @ ours @ np.c_[corners, np.ones(8)].T)[:3].T, atol=1e-3
    )


@pytest.mark.parametrize("segments", ["binary", "fractional", "labelmap"])
def test_an_x_ray_has_a_segmentation(made, results, tmp_path, segments):
    image = inferred(made("x_ray"))
    seg = results(image, segments=segments)["seg.dcm"]
    assert "FrameOfReferenceUID" not in seg
    read = hd.seg.segread(tmp_path / "results" / "seg.dcm")
    [instance] = seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    masks = read.get_pixels_by_source_instance([instance.ReferencedSOPInstanceUID])
    expected = image.maps if segments == "fractional" else [image.mask == n for n in (3, 5)]
    scale = 255 if segments == "fractional" else 1
    for i, mask in enumerate(expected):
        np.testing.assert_allclose(masks[..., i] * scale, mask, atol=1e-3)


def test_probabilities_are_stored_in_8_bits(made, results):
    image = inferred(made("plain"))
    seg = results(image, segments="fractional")["seg.dcm"]
    assert (seg.SegmentationFractionalType, seg.MaximumFractionalValue) == ("PROBABILITY", 255)
    masks = placed_again(seg, read_volume(image.case.path))
    np.testing.assert_array_equal(masks, image.maps)


def test_a_label_map_holds_the_numbers_of_the_segments(made, results):
    image = inferred(made("frames"))
    seg = results(image, segments="labelmap")["seg.dcm"]
    assert seg.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.7"
    volume = read_volume(image.case.path)
    frames = [(affine, values) for _, affine, values in placed_frames(seg)]
    frames.sort(key=lambda frame: frame[0][2, 3])
    expected = np.select([image.mask == 3, image.mask == 5], [1, 2], 0)
    assert len(frames) == volume.array.shape[2]
    np.testing.assert_array_equal(np.stack([values for _, values in frames]).T, expected)


def test_segments_of_regions_overlap(made, results):
    labels = {"liver": [3, 5], "tumour": 5}
    image = inferred(made("plain"), labels=labels)
    seg = results(image, labels=labels)["seg.dcm"]
    assert seg.SegmentsOverlap == "YES"
    whole, tumour = placed_again(seg, read_volume(image.case.path))
    np.testing.assert_array_equal(whole, image.mask > 0)
    np.testing.assert_array_equal(tumour, image.mask == 5)
    with pytest.raises(ValueError, match="labelmap: the labels overlap"):
        results(image, segments="labelmap", labels=labels)


def test_it_says_what_was_made_of_what_and_by_whom(made, results):
    reference = made("t1_post")
    seg = results(inferred(reference))["seg.dcm"]
    sources = [pydicom.dcmread(path, stop_before_pixels=True) for path in reference.iterdir()]
    [series] = seg.ReferencedSeriesSequence
    referred = {item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence}
    assert referred == {source.SOPInstanceUID for source in sources}
    assert seg.StudyInstanceUID == sources[0].StudyInstanceUID
    assert seg.FrameOfReferenceUID == sources[0].FrameOfReferenceUID
    assert "not for clinical use" in seg.SeriesDescription
    for item, structure in zip(seg.SegmentSequence, STRUCTURES, strict=True):
        assert item.SegmentLabel == structure.name
        assert item.SegmentedPropertyTypeCodeSequence[0].CodeValue == structure.type.value
        colour = hd.color.CIELabColor.from_dicom_value(item.RecommendedDisplayCIELabValue)
        np.testing.assert_allclose(colour.to_rgb(), structure.colour, atol=1)
        [algorithm] = item.SegmentationAlgorithmIdentificationSequence
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("mine", "0.1.0")
        assert "abab" in algorithm.AlgorithmParameters


def test_an_empty_mask_is_a_segmentation_of_nothing(made, results):
    image = inferred(made("plain"))
    seg = results(image._replace(mask=np.zeros_like(image.mask)))["seg.dcm"]
    assert not seg.pixel_array.any()
    assert len(seg.SegmentSequence) == 2
