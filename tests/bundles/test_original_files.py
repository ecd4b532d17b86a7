"""Each bundle takes the original kind of file, of any size: masks come back in its pixels.

The network is one convolution that follows the brightness, so that a mask is known beforehand; all
else (decoding, window, resampling, inversion) is the bundle's.
"""

import json

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
import torch
from PIL import Image

from pipeline.data.pixels import Pixels
from pipeline.data.readers import read_pixels
from pipeline.inference.trained_model import save_model

CENTRE, RADIUS = (0.55, 0.45), 0.2
"""Of the bright disc, in shares of the image's sides."""
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def disc(rows, columns):
    """Return a bright disc with a soft rim on a dark ground, 0 to 1, and where it is."""
    y, x = np.mgrid[:rows, :columns]
    distance = np.hypot((y + 0.5) / rows - CENTRE[0], (x + 0.5) / columns - CENTRE[1])
    return 1 / (1 + np.exp((distance - RADIUS) / 0.01)), distance < RADIUS


@pytest.fixture
def infer(run_bundle, bundle, tmp_path):
    """Return a function that infers a folder by a bundle and returns the folder of masks."""
    network = torch.nn.Conv2d(1, 1, 1)
    torch.nn.init.constant_(network.weight, 5.0)
    torch.nn.init.constant_(network.bias, -5.0)  # the disc is brighter than one deviation
    save_model(tmp_path / "models" / "model.pt", network.state_dict(), bundle="made")

    def infer(name, images, code=None, **overrides):
        definition = {
            "_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 1, "kernel_size": 1
        }  # fmt: skip
        settings = {
            "network_def": definition, "tta_versions": 1, "output_dir": str(tmp_path / "out"),
            "patch": [64, 64], "window": [256, 256], "model": str(tmp_path / "models" / "model.pt"),
            **overrides,
        }  # fmt: skip
        settings = {key: value for key, value in settings.items() if value is not None}
        folder = bundle.parents[1] / name
        if code is None:
            run_bundle(tmp_path, "inferring", folder=folder, image_dir=str(images), **settings)
        else:
            with pytest.raises(SystemExit) as stopped:
                run_bundle(tmp_path, "inferring", folder=folder, image_dir=str(images), **settings)
            assert stopped.value.code == code
        return tmp_path / "out"

    return infer


@pytest.fixture
def folder(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    return images


def dice(mask, truth):
    mask = np.asarray(mask) > 0
    assert mask.shape == truth.shape
    return 2 * (mask & truth).sum() / (mask.sum() + truth.sum())


SIDES = [(128, 128), (256, 256), (512, 512), (2048, 2048), (600, 450)]


@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "16.png", "dcm"])
@pytest.mark.parametrize("sides", SIDES)
def test_an_x_ray_of_any_size(infer, folder, write_slice, sides, kind):
    image, truth = disc(*sides)
    path = folder / f"x.{kind}"
    if kind == "dcm":
        pixels = (image * 4095).astype(np.uint16)
        write_slice(path, pixels, Modality="DX", BitsStored=12, HighBit=11)
    else:
        bits = np.uint16(image * 65535) if "16" in kind else np.uint8(image * 255)
        Image.fromarray(bits).save(path)
    out = infer("lungs_xray", folder)
    (mask,) = (out / "mask").iterdir()
    assert dice(Image.open(mask) if kind != "tif" else tifffile.imread(mask), truth) >= 0.98


def ct(rows, columns, slices=2):
    """Return Hounsfield units of a disc of soft tissue in fat, (slices, rows, columns)."""
    image, truth = disc(rows, columns)
    return np.stack([(-150 + 350 * image).astype(np.int16)] * slices), truth


@pytest.mark.parametrize("name", ["lungs_ct", "pancreas_ct"])
@pytest.mark.parametrize("scale", [0.5, 1, 2, 8])
@pytest.mark.parametrize("suffix", ["nii.gz", "mha"])
def test_a_ct_of_any_pixel_size(infer, folder, name, scale, suffix):
    side = int(256 * scale)
    voxels, truth = ct(side, side)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((0.8 / scale, 0.8 / scale, 5.0))
    sitk.WriteImage(image, str(folder / f"ct.{suffix}"))
    out = infer(name, folder, ct_width=400, ct_level=40)
    mask = nib.load(out / "mask" / "ct.nii.gz")
    assert mask.shape == (side, side, 2)
    for page in range(2):
        assert dice(np.asarray(mask.dataobj)[..., page].T, truth) >= 0.98
    np.testing.assert_allclose(mask.header.get_zooms(), (0.8 / scale, 0.8 / scale, 5.0), rtol=1e-5)


@pytest.mark.parametrize("name", ["lungs_ct", "pancreas_ct"])
def test_ct_slices_of_8_bits_went_through_a_window_and_16_bits_are_refused(infer, folder, name):
    voxels, truth = ct(256, 256, 1)
    low = 40 - 200
    windowed = (255 * ((voxels[0] - low) / 400).clip(0, 1)).astype(np.uint8)
    Image.fromarray(windowed).save(folder / "a.png")
    Image.fromarray((voxels[0] + 1024).astype(np.uint16)).save(folder / "b.png")
    out = infer(name, folder, code=3)
    assert dice(Image.open(out / "mask" / "a.png"), truth) >= 0.98
    (failed,) = json.loads((out / "run_report.json").read_text())["failed"]
    assert "b.png: unsigned values of 0 to 65535, whose zero is not known" in failed["reason"]


def test_outside_the_middle_of_a_ct_slice_nothing_is_predicted(infer, folder):
    voxels = np.full((1, 400, 400), 200, np.int16)
    voxels[:, :200, :200] = 100  # one value everywhere would be refused
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((0.8, 0.8, 5.0))
    sitk.WriteImage(image, str(folder / "ct.nii.gz"))
    out = infer("pancreas_ct", folder, threshold=0.0, probabilities=32)
    probability = np.asarray(nib.load(out / "probability" / "ct.nii.gz").dataobj)[..., 0]
    assert (probability[:72] == 0).all()
    assert (probability[72:328, 72:328] > 0).all()


@pytest.mark.parametrize("scale", [0.5, 1, 2, 8])
def test_membranes_of_another_pixel_size_where_the_file_tells_it(infer, folder, scale):
    side = int(256 * scale)
    image, truth = disc(side, side)
    micrometres = 4e-3 / scale
    sizes = {"axes": "YX", "PhysicalSizeX": micrometres, "PhysicalSizeY": micrometres}
    tifffile.imwrite(folder / "a.ome.tif", np.uint8(image * 255), metadata=sizes)
    out = infer("membranes", folder)
    assert dice(tifffile.imread(out / "mask" / "a.ome.tif"), truth) >= 0.98
    written = read_pixels(out / "mask" / "a.ome.tif")
    assert isinstance(written, Pixels)
    assert written.spacing == pytest.approx((micrometres * 1e-3,) * 2, rel=1e-3)


@pytest.mark.parametrize("name", ["lungs_ct", "pancreas_ct"])
def test_a_ct_series_of_dicom(infer, folder, write_slice, name):
    voxels, truth = ct(256, 256, 3)
    (folder / "PAT1" / "SER1").mkdir(parents=True)
    for z, page in enumerate(voxels):
        tags = {"RescaleSlope": 1.0, "RescaleIntercept": -1024.0, "PixelSpacing": [0.8, 0.8]}
        stored = (page + 1024).astype(np.uint16)
        path = folder / "PAT1" / "SER1" / f"IM{9 - z}"
        write_slice(path, stored, position=(0, 0, 5.0 * z), Modality="CT", **tags)
    out = infer(name, folder, ct_width=400, ct_level=40)
    (mask,) = (out / "mask").iterdir()
    assert mask.name == "PAT1_SER1.nii.gz"
    image = nib.load(mask)
    assert image.shape == (256, 256, 3)
    assert all(dice(np.asarray(image.dataobj)[..., z].T, truth) >= 0.98 for z in range(3))
    np.testing.assert_allclose(np.abs(np.diag(image.affine))[:3], (0.8, 0.8, 5.0))
    assert sitk.ReadImage(str(mask)).GetSize() == (256, 256, 3)


@pytest.mark.parametrize("scale", [0.5, 1.4, 2])
def test_without_a_pixel_size_another_size_is_flagged(infer, folder, tmp_path, scale):
    sizes = {"shortest side": [256.0] * 3, "longest side": [256.0] * 3}
    likes = {"intensities": {}, "extents": sizes, "channels": ["1"], "dtypes": ["uint8"]}
    (tmp_path / "models" / "fingerprint.json").write_text(json.dumps(likes))
    side = int(256 * scale)
    Image.fromarray(np.uint8(disc(side, side)[0] * 255)).save(folder / "a.png")
    (entry,) = json.loads((infer("membranes", folder) / "run_report.json").read_text())["per_image"]
    flagged = [f"shortest side {side}, where 90 % of them have 256 to 256",
               f"longest side {side}, where 90 % of them have 256 to 256"]  # fmt: skip
    assert entry["differences"] == ([] if scale == 1.4 else flagged)


def test_one_exam_as_dicom_and_as_png_of_8_and_16_bits_gives_one_mask(infer, folder, write_slice):
    image, _ = disc(500, 420)
    stored = 4095 - (800 + 2400 * image).astype(np.uint16)  # low values are bright
    tags = {"Modality": "DX", "BitsStored": 12, "HighBit": 11, "WindowCenter": 2100.0}
    tags |= {"WindowWidth": 3000.0, "PhotometricInterpretation": "MONOCHROME1"}
    write_slice(folder / "a.dcm", stored, **tags)
    displayed = read_pixels(folder / "a.dcm").array / 4095.0
    Image.fromarray((displayed * 255).round().astype(np.uint8)).save(folder / "b.png")
    Image.fromarray((displayed * 65535).round().astype(np.uint16)).save(folder / "c.png")
    out = infer("lungs_xray", folder)
    first, *others = (np.asarray(Image.open(out / "mask" / f"{name}.png")) for name in "abc")
    assert 0.1 < (first > 0).mean() < 0.2
    assert all(dice(other, first > 0) >= 0.99 for other in others)
