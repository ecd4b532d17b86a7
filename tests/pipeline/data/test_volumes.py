"""Volumes of every format against files made by other libraries, and a real DICOM series."""

import shutil

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from monai.transforms import LoadImage

from pipeline.data.readers import read_page
from pipeline.data.volumes import VolumeReader, read_volume

STRAIGHT = (1, 0, 0, 0, 1, 0)
TILTED = (1, 0, 0, 0, np.cos(0.3), np.sin(0.3))


@pytest.fixture
def series(tmp_path, write_slice):
    """Four slices, 3 mm apart along the normal, in files whose names are in another order."""

    def make(orientation=STRAIGHT, places=(0, 3, 6, 9), **tags):
        folder = tmp_path / "series"
        folder.mkdir(exist_ok=True)
        normal = np.cross(orientation[:3], orientation[3:])
        voxels = np.arange(4 * 3 * 5, dtype=np.int16).reshape(4, 3, 5)
        for name, i in zip("cadb", range(4), strict=True):
            position = (10, 20, 30) + normal * places[i]
            write_slice(folder / f"{name}.dcm", voxels[i], position, orientation, **tags)
        return folder, voxels

    return make


@pytest.mark.parametrize("orientation", [STRAIGHT, TILTED])
def test_a_series_lies_where_its_positions_say(series, orientation):
    folder, voxels = series(orientation)
    volume = read_volume(folder)
    np.testing.assert_array_equal(volume.array, voxels.transpose(2, 1, 0))
    assert volume.spacing == pytest.approx((0.5, 2.0, 3.0))
    # voxel (column 4, row 2, slice 3), by hand in DICOM's axes, then x and y turned
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    place = (10, 20, 30) + 4 * 0.5 * row + 2 * 2.0 * column + 3 * 3 * np.cross(row, column)
    position = volume.affine @ [4, 2, 3, 1]
    np.testing.assert_allclose(position[:3], place * (-1, -1, 1), atol=1e-5)


def test_rescaled_values_and_inverted_greys(series, write_slice):
    folder, voxels = series(RescaleSlope=2.0, RescaleIntercept=-1024.0)
    scaled = read_volume(folder).array
    np.testing.assert_array_equal(scaled, 2.0 * voxels.transpose(2, 1, 0) - 1024)
    path = folder / "c.dcm"
    grey = np.array([[0, 1], [4000, 4095]], np.uint16)
    write_slice(path, grey, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(read_page(path).array, 4095 - grey)
    tags = {"RescaleSlope": 2.0, "RescaleIntercept": 10.0, "BitsStored": 12, "HighBit": 11}
    write_slice(path, grey, PhotometricInterpretation="MONOCHROME1", **tags)
    np.testing.assert_array_equal(read_page(path).array, 2.0 * (4095.0 - grey) + 10)
    assert read_volume(path).array.shape == (2, 2, 1)


def test_a_missing_slice_is_named(series):
    folder, _ = series()
    (folder / "d.dcm").unlink()
    with pytest.raises(
        ValueError, match=r"6\.00 mm between a\.dcm and b\.dcm, .* 3\.00 mm"
    ) as line:
        read_volume(folder)
    assert "a slice is missing" in str(line.value)


def test_two_slices_at_one_place_are_named(series):
    folder, _ = series(places=(0, 3, 3, 6))
    with pytest.raises(ValueError, match=r"a\.dcm and d\.dcm have the same position"):
        read_volume(folder)


def test_two_series_in_a_folder(series, write_slice):
    folder, voxels = series()
    write_slice(folder / "z.dcm", voxels[0], series="1.2.4")
    with pytest.raises(ValueError, match="2 DICOM series"):
        read_volume(folder)


def test_slices_that_are_turned_or_of_other_pixels(series, write_slice):
    folder, voxels = series()
    write_slice(folder / "b.dcm", voxels[0], (10, 20, 39), (1, 0, 0, 0, 1, 0.005))
    with pytest.raises(ValueError, match="has another orientation than"):
        read_volume(folder)
    write_slice(folder / "b.dcm", voxels[0], (10, 20, 39), TILTED)
    with pytest.raises(ValueError, match=r"2 DICOM series \(of 3, 1 files\); expected one"):
        read_volume(folder)
    write_slice(folder / "b.dcm", voxels[0], (10, 20, 39), PixelSpacing=[1.0, 0.5])
    with pytest.raises(ValueError, match=r"has \(5, 3\) pixels of"):
        read_volume(folder)


def test_several_frames_or_no_position_in_a_series(series, write_slice):
    folder, voxels = series()
    write_slice(folder / "b.dcm", voxels[0], (10, 20, 39), ImagePositionPatient=None)
    with pytest.raises(ValueError, match=r"b\.dcm: no position"):
        read_volume(folder)
    write_slice(folder / "b.dcm", np.vstack(voxels[:2]), (10, 20, 39), NumberOfFrames=2, Rows=3)
    with pytest.raises(ValueError, match=r"2 DICOM series \(of 3, 1 files\); expected one"):
        read_volume(folder)


def test_the_same_volume_in_every_format(tmp_path):
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)  # x, y, z
    affine = np.array([[0, -2.0, 0, 5], [3, 0, 0, 6], [0, 0, 4, 7], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(voxels, affine), tmp_path / "v.nii.gz")
    image = sitk.ReadImage(str(tmp_path / "v.nii.gz"))
    for name in ("v.mha", "v.nrrd"):
        sitk.WriteImage(image, str(tmp_path / name))
    for name in ("v.nii.gz", "v.mha", "v.nrrd"):
        volume = read_volume(tmp_path / name)
        np.testing.assert_array_equal(volume.array, voxels)
        np.testing.assert_allclose(volume.affine, affine)
    tifffile.imwrite(tmp_path / "v.tif", voxels.T, photometric="minisblack")
    np.testing.assert_array_equal(read_volume(tmp_path / "v.tif").array, voxels)


def test_a_transform_reads_it_with_its_affine(series):
    folder, _ = series()
    loaded = LoadImage(reader=VolumeReader, ensure_channel_first=True)(folder)
    assert loaded.shape == (1, 5, 3, 4)
    np.testing.assert_allclose(loaded.affine, read_volume(folder).affine)


def test_the_real_series(real_data):
    post = read_volume(real_data / "dicom_mr" / "t1_post")
    assert post.array.shape == (280, 320, 22)
    assert post.spacing == pytest.approx((0.6875, 0.6875, 6.5), abs=1e-5)
    crop = read_volume(real_data / "dicom_mr" / "hippocampus_crop")
    assert (crop.array.shape, crop.spacing) == ((34, 50, 40), (1, 1, 1))


def test_a_slice_of_the_real_series_is_missed(real_data, tmp_path):
    files = sorted((real_data / "dicom_mr" / "t1_post").iterdir())
    for path in files[:8] + files[9:]:
        shutil.copy(path, tmp_path)
    with pytest.raises(ValueError, match=r"13\.00 mm between .* a slice is missing"):
        read_volume(tmp_path)


def test_nothing_that_names_a_patient_is_read(series):
    folder, _ = series()
    _, meta = VolumeReader().get_data([str(folder)])
    assert set(meta) == {
        "affine", "original_affine", "spatial_shape", "original_channel_dim", "space",
        "in_mm",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("gone.nii.gz", None, "no such file"),
        (
            "v.xyz",
            b"",
            "unknown format '.xyz'; expected one of .*, or a folder with a DICOM series",
        ),
        ("v.nii.gz", b"no volume", "cannot be read as a volume"),
        ("v.mha", b"no volume", "cannot be read as a volume"),
        ("v.dcm", b"no volume", "not a readable DICOM file; restore or remove it"),
    ],
)
def test_errors(tmp_path, name, content, line):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match=line):
        read_volume(tmp_path / name)


def test_an_empty_folder_and_a_fourth_axis_of_channels(tmp_path):
    with pytest.raises(FileNotFoundError, match="no DICOM file in this folder"):
        read_volume(tmp_path)
    nib.save(nib.Nifti1Image(np.zeros((2, 3, 4, 5), np.uint8), np.eye(4)), tmp_path / "v.nii")
    assert read_volume(tmp_path / "v.nii").array.shape == (2, 3, 4, 5)


def test_files_of_one_case_are_channels_if_they_lie_on_one_grid(tmp_path):
    t1, t2 = np.zeros((2, 3, 4), np.float32), np.ones((2, 3, 4), np.float32)
    nib.save(nib.Nifti1Image(t1, np.eye(4)), tmp_path / "a_0000.nii")
    nib.save(nib.Nifti1Image(t2, np.eye(4)), tmp_path / "a_0001.nii")
    names = [str(tmp_path / f"a_000{i}.nii") for i in (0, 1)]
    array, meta = VolumeReader().get_data(names)
    assert array.shape == (2, 3, 4, 2)
    assert meta["original_channel_dim"] == -1
    nib.save(nib.Nifti1Image(t2, np.diag([1, 1, 2, 1])), tmp_path / "a_0001.nii")
    with pytest.raises(ValueError, match=r"a_0001\.nii: lies on another grid than a_0000\.nii of"):
        VolumeReader().get_data(names)
