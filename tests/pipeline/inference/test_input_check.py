"""What can be inferred, and what is unlike the training images."""

import json

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.inference import InputCheck
from pipeline.inference.input_check import NOT_CHECKED

RNG = np.random.default_rng(0)


@pytest.fixture
def check(tmp_path):
    """Return a function that checks an image by a description of the training images."""

    def check(image, modality="", **more):
        likes = {"intensities": {}, "extents": {}, "channels": ["1"], "dtypes": ["int16", "uint8"]}
        path = tmp_path / "fingerprint.json"
        path.write_text(json.dumps({**likes, "modality": modality}))
        return InputCheck(str(path), **more)(image)

    return check


def test_another_modality_is_refused_and_radiographs_are_one(check, write_slice, tmp_path):
    pixels = RNG.integers(0, 4096, (8, 9)).astype(np.uint16)
    write_slice(tmp_path / "a.dcm", pixels, Modality="MR")
    with pytest.raises(ValueError, match=r"a\.dcm: modality MR; the network was trained on CT"):
        check(str(tmp_path / "a.dcm"), modality="CT")
    write_slice(tmp_path / "b.dcm", pixels, Modality="CR", BitsStored=12, HighBit=11)
    assert check(str(tmp_path / "b.dcm"), modality="DX") == [
        "number format uint16, where the training images have int16, uint8"
    ]


def test_what_cannot_be_inferred(check, tmp_path):
    volume = RNG.normal(size=(6, 5, 4)).astype(np.float32)

    def nifti(array):
        nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "v.nii.gz")
        return str(tmp_path / "v.nii.gz")

    flat = nifti(volume[..., :1])
    with pytest.raises(ValueError, match=r"v\.nii\.gz: one slice; the network takes volumes"):
        check(flat, spatial_dims=3)
    with pytest.raises(ValueError, match=r"v\.nii\.gz: all pixels are 3; restore it"):
        check(nifti(np.full((6, 5, 4), 3, np.int16)), spatial_dims=3)
    broken = volume.copy()
    broken[2, 2, 2] = np.nan
    with pytest.raises(ValueError, match=r"v\.nii\.gz: 1 values that are NaN or infinite"):
        check(nifti(broken), spatial_dims=3)
    with pytest.raises(ValueError, match=r"v\.nii\.gz: 2 values a pixel; the network takes 1"):
        check(nifti(np.stack([volume] * 2, axis=-1)), spatial_dims=3)


def test_without_a_description_nothing_is_claimed(tmp_path):
    Image.fromarray(RNG.integers(0, 255, (8, 9), np.uint8)).save(tmp_path / "a.png")
    lines = InputCheck(model=str(tmp_path / "model.pt"))(str(tmp_path / "a.png"))
    assert lines == [NOT_CHECKED]


@pytest.fixture
def stack(tmp_path):
    """Five pages, each as large as the training images."""
    pages = RNG.integers(0, 255, (5, 40, 60)).astype(np.uint8)
    pages[3] = 7
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack")
    return tmp_path / "stack.tif"


@pytest.fixture
def flat_check(tmp_path):
    extents = {"shortest side": [40, 40, 40], "longest side": [60, 60, 60]}
    likes = {"intensities": {}, "extents": extents, "channels": ["1"], "dtypes": ["uint8"]}
    (tmp_path / "fingerprint.json").write_text(json.dumps(likes))
    return InputCheck(str(tmp_path / "fingerprint.json"), spatial_dims=2)


def test_pages_are_no_side_of_an_image(flat_check, stack, tmp_path):
    assert flat_check(str(stack)) == []
    assert flat_check([str(stack)]) == []
    volume = np.random.default_rng(1).integers(0, 255, (60, 40, 5)).astype(np.uint8)
    nib.save(nib.Nifti1Image(volume, np.eye(4)), tmp_path / "v.nii.gz")
    assert flat_check(str(tmp_path / "v.nii.gz")) == []


def test_a_named_page_is_checked_alone(flat_check, stack):
    assert flat_check(f"{stack}#0") == []
    with pytest.raises(ValueError, match=r"stack\.tif#3: all pixels are 7"):
        flat_check(f"{stack}#3")


def test_the_sides_of_a_page_are_compared(flat_check, tmp_path):
    pages = RNG.integers(0, 255, (5, 10, 60)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "low.tif", pages, photometric="minisblack")
    assert flat_check(str(tmp_path / "low.tif")) == [
        "shortest side 10, where 90 % of them have 40 to 40"
    ]
