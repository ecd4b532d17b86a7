"""What can be inferred, and what is unlike the training images."""

import json

import nibabel as nib
import numpy as np
import pytest
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
