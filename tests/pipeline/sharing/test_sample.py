"""The sample: what it encloses reads back as it was, and another result is another one."""

import shutil

import numpy as np
import pytest
import tifffile
import yaml
from monai.transforms import ScaleIntensityRanged, Spacingd

from pipeline.data.pixels import Pixels
from pipeline.data.readers import read_pixels
from pipeline.sharing.archive import RefusedError
from pipeline.sharing.sample import write_image
from pipeline.sharing.sample_results import SampleAgreement, compare_sample, dice_of_numbers
from pipeline.sharing.synthetic import synthetic_pixels
from transforms import ColourImaged, CTWindowd, PixelSpacingd

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 255, (6, 5, 4), np.uint8)
TURNED = np.array([[0, -2.0, 0, 7], [1.5, 0, 0, -3], [0, 0, 4, 1], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    "pixels",
    [
        Pixels(BYTES[..., 0], maximum=255.0),
        Pixels(BYTES[..., 0].astype(np.int16) - 900, spacing=(0.5, 0.25)),
        Pixels(BYTES[..., :3], maximum=255.0, colour=True),
        Pixels(BYTES[..., :3], maximum=255.0),
        Pixels(BYTES[..., :2], spacing=(4e-6, 2e-6), maximum=255.0),
        Pixels(BYTES[..., :2], maximum=255.0, alpha=True),
        Pixels(BYTES.astype(np.float32), TURNED),
        Pixels(np.stack([BYTES, BYTES[::-1]], axis=-1), TURNED),
    ],
    ids=["grey", "HU", "colour", "3 images", "2 images", "opacity", "volume", "2 volumes"],
)
def test_what_is_enclosed_reads_back_as_it_was(tmp_path, pixels):
    name = write_image(tmp_path / "in", pixels)
    assert name == ("image.tif" if pixels.affine is None else "image.nii.gz")
    enclosed = read_pixels(tmp_path / "in" / name)
    np.testing.assert_array_equal(enclosed.array, pixels.array)
    assert (enclosed.colour, enclosed.alpha) == (pixels.colour, pixels.alpha)
    assert enclosed.spacing == pytest.approx(pixels.spacing)
    if pixels.affine is not None:
        np.testing.assert_allclose(enclosed.affine, pixels.affine)


def test_white_of_twelve_bits_is_white_of_the_enclosed_image(tmp_path):
    twelve = Pixels(np.array([[0, 4095], [1000, 2048]], np.uint16), maximum=4095.0)
    enclosed = read_pixels(tmp_path / "in" / write_image(tmp_path / "in", twelve))
    assert enclosed.maximum == 65535
    assert enclosed.array[0].tolist() == [0, 65535]
    np.testing.assert_allclose(enclosed.array / 65535, twelve.array / 4095, atol=1e-5)


def test_two_separate_images_are_two_pages_without_time_or_machine(tmp_path):
    for folder in ("first", "second"):
        write_image(tmp_path / folder, Pixels(BYTES[..., :2], maximum=255.0))
    first, second = ((tmp_path / name / "image.tif").read_bytes() for name in ("first", "second"))
    assert first == second
    with tifffile.TiffFile(tmp_path / "first" / "image.tif") as file:
        assert file.series[0].axes == "CYX"


def test_a_synthetic_image_fits_the_preprocessing():
    spacing = PixelSpacingd("image", spacing=(0.8, 0.4))
    flat = synthetic_pixels(2, 1, [CTWindowd("image", width=400, level=40), spacing])
    assert (flat.array.dtype, flat.array.min(), flat.array.max()) == (np.int16, -260, 340)
    assert flat.spacing == pytest.approx((1.0, 0.5))
    colour = synthetic_pixels(2, 3, [ColourImaged("image")])
    assert colour.colour
    assert colour.array.dtype == np.uint8
    volume = synthetic_pixels(3, 2, [Spacingd("image", pixdim=[0.8, 0.8, 4.0])])
    assert volume.size == (32, 32, 32)
    assert np.diag(volume.affine).tolist() == [-1, -1, 5, 1]
    hounsfield = synthetic_pixels(3, 1, [ScaleIntensityRanged("image", -100, 300, -100, 300)])
    assert (hounsfield.array.min(), hounsfield.array.max()) == (-200, 400)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_channels_of_a_synthetic_image_differ(dims):
    array = synthetic_pixels(dims, 3, []).array
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert (array[..., i] != array[..., j]).mean() > 0.5


@pytest.fixture
def sample(tmp_path):
    """A sample of two labels, and a folder with the same results."""
    bundle, out = tmp_path / "bundle", tmp_path / "out"
    for folder in (bundle / "configs", bundle / "sample"):
        folder.mkdir(parents=True)
    config = {"labels": {"left lung": 1, "right lung": 2}}
    (bundle / "configs" / "inference.yaml").write_text(yaml.safe_dump(config))
    mask = np.repeat(np.arange(3, dtype=np.uint8), 16).reshape(6, 8)
    results = {
        "image": (mask, None),
        "mask": (mask, "mask"),
        "probability_1": ((mask == 1) * np.float32(0.9), "probability/left lung"),
        "probability_2": ((mask == 2) * np.float32(0.8), "probability/right lung"),
    }
    for name, (array, folder) in results.items():
        tifffile.imwrite(bundle / "sample" / f"{name}.tif", array)
        if folder is not None:
            (out / folder).mkdir(parents=True)
            tifffile.imwrite(out / folder / "image.tif", array)
    return bundle / "sample", out


def test_the_same_result_is_enough(sample):
    agreement = compare_sample(*sample)
    assert agreement == SampleAgreement(difference=0, dice=1)
    assert agreement.enough


def test_swapped_classes_are_another_result(sample):
    expected, out = sample
    mask = tifffile.imread(out / "mask" / "image.tif")
    tifffile.imwrite(out / "mask" / "image.tif", np.array([0, 2, 1], np.uint8)[mask])
    agreement = compare_sample(expected, out)
    assert agreement == SampleAgreement(difference=0, dice=0)
    assert not agreement.enough


@pytest.mark.parametrize("label", ["left lung", "right lung"])
def test_the_probability_of_every_label_counts(sample, label):
    expected, out = sample
    path = out / "probability" / label / "image.tif"
    tifffile.imwrite(path, tifffile.imread(path) + np.float32(1e-4))
    agreement = compare_sample(expected, out)
    assert agreement.difference == pytest.approx(1e-4, rel=1e-2)
    assert not agreement.enough


def test_another_size_and_missing_results_are_refused(sample):
    expected, out = sample
    shutil.copy(out / "mask" / "image.tif", expected / "instances.tif")
    with pytest.raises(RefusedError, match=r"instances.*no such file.*cannot be compared"):
        compare_sample(expected, out)
    (expected / "instances.tif").unlink()
    tifffile.imwrite(out / "mask" / "image.tif", np.zeros((6, 7), np.uint8))
    with pytest.raises(RefusedError, match=r"mask.*\(6, 7\) pixels.*expected \(6, 8\)"):
        compare_sample(expected, out)


def test_the_worst_number_gives_the_dice():
    reference = np.array([[1, 1, 1, 1], [2, 2, 0, 0]])
    result = np.array([[1, 1, 1, 1], [2, 0, 0, 0]])
    assert dice_of_numbers(reference, result) == pytest.approx(2 / 3)
    assert dice_of_numbers(np.zeros(4), np.zeros(4)) == 1
    assert dice_of_numbers(np.zeros(4), np.array([0, 0, 0, 7])) == 0
