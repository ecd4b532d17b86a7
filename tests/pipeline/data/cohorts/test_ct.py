"""Pancreas-CT and lung CT, on the real slices and on files made with the originals' quirks."""

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.data import read_datalist
from pipeline.data.cohorts.pancreas_ct import pancreas_ct
from pipeline.data.volumes import read_volume

SHAPE = (300, 280, 6)  # columns, rows, slices
OBLIQUE = (0.6, 0.8, 0, -0.8, 0.6, 0)


def organ(patient):
    """A mask that no flip or turn maps to itself, in slices 1 to 3."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[100:160, 120 : 140 + patient, 1:4] = 1
    mask[100:110, 120:180, 2] = 1
    mask[100 + patient :, 170:172, 3] = 1
    return mask


@pytest.fixture
def original(tmp_path, write_slice):
    """Three patients: DICOM series with a slope, labels in NIfTI with y the other way round."""
    source = tmp_path / "original"
    for patient in (1, 2, 3):
        folder = source / "Pancreas-CT" / f"PANCREAS_{patient:04d}" / "study" / "series"
        folder.mkdir(parents=True)
        mask = organ(patient)
        values = 300 * mask.astype(np.int16) - 200  # HU: 100 in the organ
        orientation = OBLIQUE if patient == 3 else (1, 0, 0, 0, 1, 0)
        for z in range(SHAPE[2]):
            stored = np.ascontiguousarray((values[..., z].T + 1024) // 2)
            write_slice(
                folder / f"{SHAPE[2] - z}.dcm", stored, (0, 0, 2.5 * z), orientation,
                series=f"1.2.{patient}", RescaleSlope=2.0, RescaleIntercept=-1024.0,
                PatientID="ID-4711",
            )  # fmt: skip
        # x as in the series, y the other way round; NIfTI turns DICOM's first two axes
        row, column = np.reshape(orientation, (2, 3)) * (-1, -1, 1)
        affine = np.eye(4)
        affine[:3, :3] = np.stack([0.5 * row, -2.0 * column, (0, 0, 2.5)], axis=1)
        label = nib.Nifti1Image(mask[:, ::-1], affine)
        (source / "labels").mkdir(exist_ok=True)
        nib.save(label, source / "labels" / f"label{patient:04d}.nii.gz")
    return source


def test_originals_with_their_quirks(original, prepare, entries):
    out, content, _ = prepare("pancreas_ct", "--source", original)
    cases = entries(content)
    assert len(cases) == 9  # three slices with pancreas of each patient
    assert all(len({e["patient"] for e in content[s]}) == 1 for s in ("training", "test"))
    for entry in cases:
        image, label = (np.asarray(Image.open(out / entry[key])) for key in ("image", "label"))
        assert image.shape == label.shape == (256, 256)
        expected = organ(int(entry["patient"][-1]))[..., entry["slice"] - 1].T
        assert np.array_equal(label, 255 * expected[12:-12, 22:-22])
        # 400 around 40: -200 is below the window, 100 at 260 of 400
        assert np.array_equal(image, np.where(label > 0, round(255 * 260 / 400), 0))


def test_no_tag_that_names_a_patient_goes_along(original, prepare):
    out, _, output = prepare("pancreas_ct", "--source", original)
    for path in out.rglob("*"):
        if path.is_file():
            assert b"ID-4711" not in path.read_bytes()
            assert b"Invented" not in path.read_bytes()
    assert "ID-4711" not in output


def test_the_real_slices_split_by_patient(real_data, prepare, entries):
    out, content, output = prepare("pancreas_ct", "--source", real_data / "pancreas_ct")
    assert "136 training, 45 validation, 45 test" in output
    patients = [{e["patient"] for e in content[s]} for s in ("training", "validation", "test")]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 50
    entry = read_datalist(out).entries("test")[0]
    assert np.asarray(Image.open(entry.image)).shape == (256, 256)
    assert set(np.unique(np.asarray(Image.open(entry.label)))) == {0, 255}


def test_errors_in_pancreas_ct(original, failing, tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4)), np.eye(4)), original / "labels/label0002.nii.gz")
    line = failing("pancreas_ct", "--source", original)
    assert "label0002.nii.gz: (4, 4, 4) voxels; expected (300, 280, 6)" in line
    (original / "labels" / "label0002.nii.gz").unlink()
    assert "no label0002.nii.gz below" in failing("pancreas_ct", "--source", original)
    assert "neither images/PANCREAS_" in failing("pancreas_ct", "--source", tmp_path / "labels")


@pytest.fixture
def lungs(tmp_path):
    """Two slices of each of three patients, in HU, 512 x 512, one lung each."""
    source = tmp_path / "lungs"
    for kind in ("2d_images", "2d_masks"):
        (source / kind).mkdir(parents=True)
    for patient in range(3):
        for z in range(2):
            mask = np.zeros((512, 512), np.uint8)
            mask[100:300, 50 : 200 + 2 * patient] = 255
            name = f"ID_{patient:04d}_Z_{z:04d}.tif"
            tifffile.imwrite(source / "2d_masks" / name, mask)
            hounsfield = np.where(mask, -600, 400).astype(np.int16)
            tifffile.imwrite(source / "2d_images" / name, hounsfield)
    return source


def test_lungs_in_tiff(lungs, prepare, entries):
    out, content, _ = prepare("lung_ct", "--source", lungs)
    assert len(entries(content)) == 6
    for split in ("training", "validation", "test"):
        assert len({entry["patient"] for entry in content[split]}) == 1
    for entry in entries(content):
        image, label = (np.asarray(Image.open(out / entry[key])) for key in ("image", "label"))
        assert image.shape == label.shape == (256, 256)
        # 1500 around -600: the level is in the middle, 400 beyond the upper end
        assert np.array_equal(np.unique(image), [128, 255])
        width = 75 + int(entry["patient"][-1])
        assert (label > 0).sum() == 100 * width
        assert np.array_equal(image == 128, label > 0)


def test_lungs_in_nifti_volumes(tmp_path, prepare, entries):
    source = tmp_path / "lungs"
    for kind in ("3d_images", "3d_masks"):
        (source / kind).mkdir(parents=True)
    mask = np.zeros((512, 512, 2), np.uint8)
    mask[50:200, 100:300] = 1
    for i in range(3):
        volume = np.where(mask, -600 + 20 * i + np.arange(2) * 90, 400).astype(np.int16)
        nib.save(nib.Nifti1Image(volume, np.eye(4)), source / f"3d_images/IMG_{i:04d}.nii.gz")
        # the mask is stored with y the other way round, as its affine says
        flipped = nib.Nifti1Image(mask[:, ::-1], np.diag([1.0, -1, 1, 1]))
        nib.save(flipped, source / f"3d_masks/MASK_{i:04d}.nii.gz")
    out, content, _ = prepare("lung_ct", "--source", source)
    assert len(entries(content)) == 6
    image, label = (
        np.asarray(Image.open(out / content["test"][0][key])) for key in ("image", "label")
    )
    # NIfTI's x and y grow to right and anterior, a slice's columns and rows to left and posterior
    assert label[256 - 150 : 256 - 50, 256 - 100 : 256 - 25].all()
    assert (label > 0).sum() == 100 * 75
    assert np.array_equal(image < 255, label > 0)


def test_errors_in_lung_ct(lungs, failing, tmp_path):
    tifffile.imwrite(lungs / "2d_masks" / "ID_0001_Z_0000.tif", np.zeros((5, 5), np.uint8))
    line = failing("lung_ct", "--source", lungs)
    assert "ID_0001_Z_0000.tif: (5, 5) pixels; expected (512, 512)" in line
    smeared = np.arange(512 * 512).reshape(512, 512).astype(np.uint8)
    tifffile.imwrite(lungs / "2d_masks" / "ID_0001_Z_0000.tif", smeared)
    assert "a mask with 256 values; expected 0 and 1" in failing("lung_ct", "--source", lungs)
    (lungs / "2d_masks" / "ID_0001_Z_0000.tif").unlink()
    assert "no mask ID_0001_Z_0000.* in" in failing("lung_ct", "--source", lungs)
    assert "no folder images or 2d_images" in failing("lung_ct", "--source", tmp_path)


def test_a_label_lies_on_its_series(original):
    cohort = pancreas_ct(original)
    series = read_volume(next((original / "Pancreas-CT").rglob("series")))
    assert {case.columns["slice"] for case in cohort.cases} == {2, 3, 4}
    assert series.array.shape == SHAPE
