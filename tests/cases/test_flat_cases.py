"""Every row of the table ``flat`` of the awkward files, through the real commands."""

import json

import nibabel as nib
import numpy as np
import pytest
import tifffile
import torch
import yaml

from pipeline.data.readers import read_pixels
from pipeline.inference.trained_model import save_model

STAY_RIGHT = ("bigendian", "sizes", "names")


def listed(folder):
    """Return the entries of a datalist, all splits together."""
    datalist = json.loads((folder / "datalist.json").read_text())
    return [entry for split in ("training", "validation", "test") for entry in datalist[split]]


def arrays(folder):
    """Return image and mask of each case of a cohort, as the readers decode them."""
    return [
        (read_pixels(folder / entry["image"]), read_pixels(folder / entry["label"], label=True))
        for entry in listed(folder)
    ]


def knobs(bundle):
    return yaml.safe_load((bundle / "configs" / "train.yaml").read_text())


def contrasts(folder):
    """Return the mean of each image inside its mask less the mean outside."""
    pairs = [(image.array.astype(float), mask.array > 0) for image, mask in arrays(folder)]
    return [image[mask].mean() - image[~mask].mean() for image, mask in pairs]


@pytest.fixture
def planned(flat, new):
    """Return a function that plans a bundle for a case."""

    def planned(name, *arguments):
        folder = flat(name)
        outcome = new(folder / "images", folder / "masks", *arguments)
        assert outcome.code == 0, outcome.out + outcome.err
        assert "error" not in outcome.out + outcome.err
        return outcome

    return planned


@pytest.fixture
def refused(flat, new):
    """Return a function that asserts that ``new`` refuses a case, and returns what it says."""

    def refused(name):
        folder = flat(name)
        outcome = new(folder / "images", folder / "masks")
        assert outcome.code == 1
        assert not outcome.folder.exists()
        assert outcome.err.startswith("error: ")
        assert outcome.err.count("\n") == 1
        return outcome.out.splitlines()

    return refused


@pytest.mark.parametrize("name", ["exif_rotated", "palette_image"])
def test_an_image_lies_and_shines_as_a_viewer_shows_it(flat, prepare, planned, name):
    folder = flat(name)
    assert prepare(folder / "images", folder / "masks").code == 0
    bundle = planned(name).folder
    differences = contrasts(bundle / "data")
    assert len(differences) == 6
    assert min(differences) > 50
    assert contrasts(bundle.parent / "cohort") == differences


def test_min_is_white_masks_mean_the_object(flat, planned):
    bundle = planned("miniswhite_mask").folder
    folder = flat("miniswhite_mask")
    for path in sorted((folder / "masks").iterdir()):
        stored = tifffile.imread(path)
        shown = read_pixels(path, label=True).array
        assert set(np.unique(stored)) <= {0, 255}
        assert np.array_equal(shown, 255 - stored)
    assert knobs(bundle)["labels"] == {"foreground": 1}
    assert all(0 < (mask.array > 0).mean() < 0.5 for _, mask in arrays(bundle / "data"))
    assert min(contrasts(bundle / "data")) > 50


def test_lzw_pages_are_read(flat, planned):
    bundle = planned("lzw").folder
    for path in sorted((flat("lzw") / "images").iterdir()):
        assert tifffile.TiffFile(path).pages[0].compression == tifffile.COMPRESSION.LZW
        assert np.array_equal(read_pixels(path).array, tifffile.imread(path))
    assert len(arrays(bundle / "data")) == 6


def test_planar_rgb_is_rgb(flat, planned):
    bundle = planned("planar_rgb").folder
    for path in sorted((flat("planar_rgb") / "images").iterdir()):
        planes = tifffile.imread(path)
        pixels = read_pixels(path)
        assert pixels.array.shape == (64, 64, 3)
        assert pixels.colour
        assert np.array_equal(pixels.array, np.moveaxis(planes, 0, -1))
    assert knobs(bundle)["in_channels"] == 3
    assert knobs(bundle)["spatial_dims"] == 2


def test_ome_channels_are_paired_by_stem(flat, planned):
    bundle = planned("ome_channels").folder
    stored = tifffile.imread(flat("ome_channels") / "images" / "case_00.ome.tif")
    assert len(stored) in (2, 3)  # axes CYX
    assert knobs(bundle)["in_channels"] == len(stored)
    assert all(entry["image"].endswith(".ome.tif") for entry in listed(bundle / "data"))
    for image, _ in arrays(bundle / "data"):
        assert image.array.shape == (64, 64, len(stored))
        assert not image.colour
    shown = read_pixels(flat("ome_channels") / "images" / "case_00.ome.tif").array
    assert np.array_equal(np.moveaxis(shown, -1, 0), stored)


def test_fractions_just_below_one_are_a_mask(planned):
    outcome = planned("float_tiff_mask")
    assert knobs(outcome.folder)["labels"] == {"foreground": 1}
    fingerprint = json.loads((outcome.folder / "data/check/fingerprint.json").read_text())
    assert fingerprint["mask_values"] == [0, 1]
    assert fingerprint["issues"] == []


def test_a_slope_of_a_mask_is_applied(planned):
    outcome = planned("slope_label")
    assert knobs(outcome.folder)["labels"] == {"foreground": 1}
    fingerprint = json.loads((outcome.folder / "data/check/fingerprint.json").read_text())
    assert fingerprint["mask_values"] == [0, 1]


def test_a_negative_label_is_refused(refused):
    (line,) = [line for line in refused("label_minus1") if line.startswith("error: ")]
    assert "label_minus1/masks/case_00.nii.gz: the values -1 in " in line
    assert all(f"case_{i:02d}.nii.gz" in line for i in range(5))


def test_nan_in_a_label_is_refused(refused):
    lines = [line for line in refused("label_nan") if line.startswith("error: ")]
    (line,) = lines
    assert "label_nan/masks/case_00.nii.gz: NaN or infinite values in " in line
    files = ", ".join(f"case_{i:02d}.nii.gz" for i in range(5))
    assert line.endswith(f"(5 files, first {files})")


def test_masks_hold_the_numbers_of_freesurfer(flat, planned, infer, tmp_path):
    outcome = planned("label_freesurfer")
    assert knobs(outcome.folder)["labels"] == {"label_17": 17, "label_1035": 1035}
    network = torch.nn.Conv3d(1, 2, 1)  # bright voxels are the first label, dark ones the second
    with torch.no_grad():
        network.weight[:] = torch.tensor([5.0, -5.0]).reshape(2, 1, 1, 1, 1)
        network.bias[:] = -5.0
    save_model(tmp_path / "model.pt", network.state_dict(), bundle="made")
    definition = {"_target_": "torch.nn.Conv3d", "in_channels": 1, "out_channels": 2}
    inferred = infer(
        outcome.folder, flat("label_freesurfer") / "images",
        network_def={**definition, "kernel_size": 1}, model=str(tmp_path / "model.pt"),
    )  # fmt: skip
    assert inferred.code == 0
    masks = [nib.load(path) for path in sorted((inferred.folder / "mask").iterdir())]
    assert len(masks) == 5
    for mask in masks:
        assert mask.get_data_dtype() == np.uint16
        assert set(np.unique(mask.dataobj)) == {0, 17, 1035}


@pytest.mark.parametrize("name", ["dx_mono1_dcm", "dx_png"])
def test_an_x_ray_is_flat_whatever_its_masks_are(flat, prepare, planned, name):
    folder = flat(name)
    assert prepare(folder / "images", folder / "masks").code == 0
    bundle = planned(name).folder
    config = knobs(bundle)
    assert config["spatial_dims"] == 2
    assert config["network_def"]["features"] == [16, 32, 64, 128, 256]  # five levels
    assert [len(listed(place)) for place in (bundle / "data", bundle.parent / "cohort")] == [6, 6]
    assert min(contrasts(bundle / "data")) > 0  # MONOCHROME1 is inverted: the object is bright


def test_frames_of_one_file_are_a_volume(flat, prepare, planned):
    folder = flat("dcm_multiframe")
    assert prepare(folder / "images", folder / "masks").code == 0
    bundle = planned("dcm_multiframe").folder
    assert knobs(bundle)["spatial_dims"] == 3
    for image, mask in arrays(bundle / "data"):
        assert image.array.shape == mask.array.shape == (24, 28, 20)


def test_colour_dicom_is_rgb(planned):
    bundle = planned("dcm_rgb").folder
    assert knobs(bundle)["in_channels"] == 3
    for image, mask in arrays(bundle / "data"):
        assert image.array.shape == (*mask.array.shape, 3)
        assert image.colour


def test_files_that_systems_leave_are_skipped_with_a_remark(flat, planned, infer, tmp_path):
    outcome = planned("appledouble")
    assert len(listed(outcome.folder / "data")) == 6
    remarks = [line for line in outcome.out.splitlines() if "skipped" in line]
    assert any("._" in line for line in remarks)
    assert any("__MACOSX" in line for line in remarks)
    assert any("Thumbs.db" in line for line in remarks)
    network = torch.nn.Conv2d(1, 1, 1)
    save_model(tmp_path / "model.pt", network.state_dict(), bundle="made")
    definition = {"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 1}
    inferred = infer(
        outcome.folder, flat("appledouble") / "images",
        network_def={**definition, "kernel_size": 1}, model=str(tmp_path / "model.pt"),
    )  # fmt: skip
    assert inferred.code == 0
    names = [f"case_{i:02d}.png" for i in range(6)]
    assert sorted(path.name for path in (inferred.folder / "mask").iterdir()) == names


@pytest.mark.parametrize("name", STAY_RIGHT)
def test_what_was_right_stays_right(flat, prepare, planned, name):
    folder = flat(name)
    images = sorted((folder / "images").iterdir())
    assert prepare(folder / "images", folder / "masks").code == 0
    bundle = planned(name).folder
    assert len(listed(bundle / "data")) == len(images)
    assert len(listed(bundle.parent / "cohort")) == len(images)
    for image, mask in arrays(bundle / "data"):
        assert image.size == mask.size
    if name == "bigendian":
        assert all(nib.load(path).header.endianness == ">" for path in images)
        for path in images:
            assert np.array_equal(read_pixels(path).array, np.asanyarray(nib.load(path).dataobj))
