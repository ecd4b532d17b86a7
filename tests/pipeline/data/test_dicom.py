"""Pixels of DICOM: radiographs, masks, colour, frames, and files without an image."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import convert_color_space
from pydicom.sequence import Sequence
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    EncapsulatedPDFStorage,
    EnhancedMRImageStorage,
    RTDoseStorage,
    RTStructureSetStorage,
    SegmentationStorage,
)

from pipeline.data.dicom_header import read_header
from pipeline.data.dicom_pixels import read_plane
from pipeline.data.readers import PageReader, read_page, read_pixels
from pipeline.data.volumes import read_volume

LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
RAMP = np.array([[0, 1000], [3000, 4095]], np.uint16)
TWELVE = {"BitsStored": 12, "HighBit": 11}
XRAY = {
    "SOPClassUID": DigitalXRayImageStorageForPresentation,
    "Modality": "DX",
    "ImagePositionPatient": None,
    **TWELVE,
}
EIGHT = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}


@pytest.fixture
def plane(tmp_path, write_slice):
    """Write one file and return what is read of it."""

    def read(pixels=RAMP, label=False, **tags):
        write_slice(tmp_path / "a.dcm", pixels, **tags)
        return read_page(tmp_path / "a.dcm", label=label).array

    return read


def test_a_radiograph_without_tables_is_as_stored(plane):
    assert plane(**XRAY).tolist() == RAMP.tolist()


def test_bright_is_bright_in_monochrome1_and_is_inverted_once(plane):
    assert plane(**XRAY, PhotometricInterpretation="MONOCHROME1").tolist() == (4095 - RAMP).tolist()


def test_a_negative_slope_turns_dark_and_bright(plane):
    shown = plane(**XRAY, RescaleSlope=-1, RescaleIntercept=4095)
    assert shown.tolist() == (4095 - RAMP).tolist()


def test_the_window_is_spread_over_the_number_format(plane):
    # LINEAR_EXACT: (value - centre) / width + 0.5, from 1000 to 3000
    tags = {"WindowCenter": 2000, "WindowWidth": 2000, "VOILUTFunction": "LINEAR_EXACT"}
    pixels = np.array([[500, 1000], [2000, 3500]], np.uint16)
    assert plane(pixels, **XRAY, **tags).tolist() == [[0, 0], [2048, 4095]]
    inverted = plane(pixels, **XRAY, **tags, PhotometricInterpretation="MONOCHROME1")
    assert inverted.tolist() == [[4095, 4095], [2048, 0]]


def test_the_window_is_in_rescaled_values(plane):
    tags = {"WindowCenter": [4000, 1], "WindowWidth": [4000, 1], "VOILUTFunction": "LINEAR_EXACT"}
    pixels = np.array([[1000, 2000], [3000, 0]], np.uint16)
    shown = plane(pixels, **XRAY, **tags, RescaleSlope=2, RescaleIntercept=0)
    assert shown.tolist() == [[0, 2048], [4095, 0]]


def test_a_table_goes_before_the_window(plane):
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [3, 10, 16], [0, 65535, 6553]
    table["LUTData"].VR = table["LUTDescriptor"].VR = "US"
    pixels = np.array([[5, 10], [11, 99]], np.uint16)
    shown = plane(pixels, **XRAY, VOILUTSequence=Sequence([table]), WindowCenter=1, WindowWidth=2)
    assert shown.tolist() == [[0, 0], [4095, 409]]


def test_one_exam_of_12_8_and_16_bits_is_proportional(tmp_path, write_slice):
    from PIL import Image

    bright = np.array([[0, 51], [102, 255]], np.uint8)
    Image.fromarray(bright).save(tmp_path / "a.png")
    Image.fromarray(bright.astype(np.uint16) * 257).save(tmp_path / "b.png")
    twelve = np.rint(bright / 255 * 4095).astype(np.uint16)
    write_slice(tmp_path / "c.dcm", twelve, **XRAY)
    shares = []
    for name in ("a.png", "b.png", "c.dcm"):
        pixels = read_page(tmp_path / name)
        shares.append(pixels.array / pixels.maximum)
    np.testing.assert_allclose(shares[0], shares[1])
    np.testing.assert_allclose(shares[0], shares[2], atol=1 / 4095)


def test_a_scan_keeps_its_units_and_ignores_the_window(plane):
    pixels = np.array([[0, 1000], [2000, 3000]], np.int16)
    shown = plane(pixels, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400)
    assert shown.tolist() == (pixels - 1024.0).tolist()


def test_pixels_stay_and_their_size_is_told(tmp_path, write_slice):
    write_slice(tmp_path / "a.dcm", RAMP, **XRAY, PixelSpacing=[0.2, 0.1])
    array, meta = PageReader().get_data([str(tmp_path / "a.dcm")])
    assert (array.shape, meta["maximum"], meta["in_mm"]) == ((2, 2), 4095, True)
    assert np.diag(meta["affine"])[:2].tolist() == [0.2, 0.1]
    write_slice(tmp_path / "a.dcm", RAMP, **XRAY, PixelSpacing=None, PixelAspectRatio=[3, 2])
    _, meta = PageReader().get_data([str(tmp_path / "a.dcm")])
    assert (meta["in_mm"], np.diag(meta["affine"])[:2].tolist()) == (False, [1.5, 1.0])


def test_a_mask_has_its_stored_numbers(plane):
    numbers = np.array([[0, 1], [2, 2]], np.uint8)
    tags = {**XRAY, **EIGHT, "RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": 1}
    assert plane(numbers, True, **tags, WindowWidth=2).tolist() == numbers.tolist()
    classes = plane(numbers, True, **tags, PhotometricInterpretation="MONOCHROME1")
    assert classes.tolist() == numbers.tolist()


def test_a_black_and_white_mask_in_monochrome1_is_a_picture(plane):
    stored = np.array([[255, 255], [255, 0]], np.uint8)  # one pixel is shown white
    tags = {**XRAY, **EIGHT, "PhotometricInterpretation": "MONOCHROME1"}
    assert plane(stored, True, **tags).tolist() == [[0, 0], [0, 255]]
    with pytest.raises(ValueError, match="zeros in MONOCHROME1, which is all object or none"):
        plane(np.zeros((2, 2), np.uint8), True, **tags)


@pytest.mark.parametrize("space", ["RGB", "YBR_FULL"])
def test_a_flat_image_in_colour(tmp_path, write_slice, space):
    rgb = np.array([[[200, 10, 60], [0, 0, 0]], [[255, 255, 255], [40, 90, 20]]], np.uint8)
    stored = rgb if space == "RGB" else convert_color_space(rgb, "RGB", space)
    tags = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": space}
    write_slice(tmp_path / "a.dcm", stored.reshape(2, 6), **EIGHT, **tags, Columns=2)
    pixels = read_pixels(tmp_path / "a.dcm")
    assert (pixels.colour, pixels.maximum, pixels.affine) == (True, 255, None)
    np.testing.assert_allclose(pixels.array.astype(int), rgb, atol=2)
    with pytest.raises(ValueError, match=r"a colour image \(.*\); expected grey values in a vol"):
        read_volume(tmp_path / "a.dcm")
    write_slice(tmp_path / "b.dcm", stored.reshape(2, 6), (0, 0, 3), **EIGHT, **tags, Columns=2)
    with pytest.raises(ValueError, match="a colour image"):
        read_volume(tmp_path)


def enhanced(tmp_path, write_slice, depths):
    frames = Sequence()
    for depth in depths:
        frame, position, orientation, measures = (Dataset() for _ in range(4))
        position.ImagePositionPatient = [1, 2, depth]
        orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        measures.PixelSpacing = [2.0, 0.5]
        frame.PlanePositionSequence = Sequence([position])
        frame.PlaneOrientationSequence = Sequence([orientation])
        frame.PixelMeasuresSequence = Sequence([measures])
        frames.append(frame)
    pixels = np.repeat(np.arange(len(depths), dtype=np.uint16), 15).reshape(-1, 5)
    write_slice(
        tmp_path / "v.dcm", pixels, SOPClassUID=EnhancedMRImageStorage, Modality="MR", Rows=3,
        NumberOfFrames=len(depths), PerFrameFunctionalGroupsSequence=frames,
    )  # fmt: skip
    return tmp_path / "v.dcm"


def test_frames_are_ordered_by_their_positions(tmp_path, write_slice):
    path = enhanced(tmp_path, write_slice, [8, 2, 5])
    volume = read_volume(path)
    assert volume.array[0, 0].tolist() == [1, 2, 0]
    assert volume.spacing == pytest.approx((0.5, 2, 3))
    np.testing.assert_allclose(volume.affine[:3, 3], (-1, -2, 2))
    assert read_pixels(path).size == (5, 3, 3)
    with pytest.raises(ValueError, match="3 frames, a volume; expected one flat image"):
        read_plane(path)


def test_a_missing_frame_is_named(tmp_path, write_slice):
    path = enhanced(tmp_path, write_slice, [2, 5, 11])
    with pytest.raises(ValueError, match=r"6\.00 mm between v\.dcm, frame 2 and .* is missing"):
        read_volume(path)


def test_one_frame_is_a_flat_image(tmp_path, write_slice):
    assert read_pixels(enhanced(tmp_path, write_slice, [2])).size == (3, 5)


@pytest.mark.parametrize(
    ("sop_class", "line"),
    [
        (SegmentationStorage, "Segmentation Storage, not an image; give it by --masks"),
        (RTStructureSetStorage, "RT Structure Set Storage, not an image; give it by --masks"),
        (LABEL_MAP, "Label Map Segmentation Storage, not an image; give it by --masks"),
        (RTDoseStorage, "RT Dose Storage, not an image; leave it out"),
        (EncapsulatedPDFStorage, "Encapsulated PDF Storage, not an image; leave it out"),
    ],
)
@pytest.mark.parametrize("read", [read_header, read_page, read_pixels, read_volume])
def test_a_file_without_an_image_is_named(tmp_path, write_slice, sop_class, line, read):
    write_slice(tmp_path / "a.dcm", RAMP, SOPClassUID=sop_class)
    with pytest.raises(ValueError, match=line) as error:
        read(tmp_path / "a.dcm")
    assert "corrupt" not in str(error.value)


def test_truncated_pixels(tmp_path, write_slice):
    write_slice(tmp_path / "a.dcm", RAMP, **XRAY)
    content = (tmp_path / "a.dcm").read_bytes()
    (tmp_path / "a.dcm").write_bytes(content[:-4])
    with pytest.raises(ValueError, match="not a readable DICOM file"):
        read_page(tmp_path / "a.dcm")
