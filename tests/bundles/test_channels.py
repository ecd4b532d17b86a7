"""Several images of a case, from their files to a bundle that trains on them and infers."""

import json

import nibabel as nib
import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

from pipeline import cli
from pipeline.bundle import Bundle
from pipeline.data import read_datalist
from tests.bundles.kinds import PATCHES, SMALL

NAMES = ["--channels", "T1=_0000", "T2=_0001"]
AFFINE = np.diag([-1.5, 1.5, 1.5, 1.0])


def made_case(dims, i):
    """T1 of 8 bits, T2 of 16, and their mask."""
    side = 40 if dims == 2 else 20
    rng = np.random.default_rng(i)
    mask = np.zeros((side,) * dims, np.uint8)
    mask[(slice(5 + i, 15 + i // 2), *(slice(4, 14),) * (dims - 1))] = 1
    first = rng.integers(0, 60, mask.shape).astype(np.uint8) + 100 * mask
    second = (rng.integers(0, 6000, mask.shape) + 20_000 * (mask == 0)).astype(np.uint16)
    return first, second, mask


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if array.ndim == 3:
        nib.save(nib.Nifti1Image(array, AFFINE), path)
    else:
        Image.fromarray(array).save(path)


@pytest.fixture(params=[2, 3])
def dims(request):
    return request.param


@pytest.fixture
def source(tmp_path, dims):
    """Images and masks of six cases in one folder."""
    suffix = ".png" if dims == 2 else ".nii.gz"
    for i in range(6):
        kinds = ("_0000", "_0001", "_seg")
        for kind, array in zip(kinds, made_case(dims, i), strict=True):
            save(tmp_path / "scans" / f"c{i}{kind}{suffix}", array)
    return tmp_path / "scans"


def new(root, source, *more):
    return cli.main(["new", str(root / "mine"), "--images", str(source), *NAMES, *more])


def test_two_images_of_a_case_are_planned_trained_and_inferred(tmp_path, source, dims, capsys):
    assert new(tmp_path, source) == 0
    printed = capsys.readouterr().out
    assert "6 cases with a mask each by --pattern '{name}_seg', as c0_0000." in printed
    assert "T1 of uint8 and T2 of uint16 are written as uint16" in printed
    bundle = tmp_path / "mine"
    datalist = read_datalist(bundle / "data")
    assert datalist.description["channels"] == ["T1", "T2"]
    entry = datalist.entries("training")[0]
    i = int(entry.image.rpartition("/c")[2][0])
    check_file(entry.image, made_case(dims, i)[:2])
    config = yaml.safe_load((bundle / "configs" / "inference.yaml").read_text())
    assert config["channels"] == {"T1": "_0000", "T2": "_0001"}
    train = (bundle / "configs" / "train.yaml").read_text()
    assert "in_channels: 2\n" in train
    assert "NormalizeIntensityd, keys: image, channel_wise: true}" in train
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    inputs = metadata["network_data_format"]["inputs"]["image"]
    assert inputs["channel_def"] == {"0": "T1", "1": "T2"}
    settings = {**SMALL, **PATCHES[dims], "tracking_dir": str(tmp_path / "mlruns")}
    Bundle(bundle, overrides=settings).run("training")
    infer_folder(bundle, source, settings, datalist)


def check_file(path, images):
    """One file holds the numbers of both images, at their place."""
    if images[0].ndim == 3:
        volume = nib.load(path)
        np.testing.assert_array_equal(volume.affine, AFFINE)
        np.testing.assert_array_equal(np.asanyarray(volume.dataobj), np.stack(images, axis=-1))
        return
    with tifffile.TiffFile(path) as file:
        assert file.series[0].axes == "CYX"
    np.testing.assert_array_equal(tifffile.imread(path), np.stack(images))


def infer_folder(bundle, source, settings, datalist):
    """Files of both kinds are inferred alike: an image for each channel, and one of both."""
    images = source.parent / "scans_to_infer"
    images.mkdir()
    entry = datalist.entries("test")[0]
    name = entry.image.rpartition("/")[2]
    case = name.partition(".")[0]
    for path in source.glob(f"{case}_000?.*"):
        (images / path.name).symlink_to(path)
    (images / f"both_{name}").symlink_to(entry.image)
    out = images.parent / "out"
    overrides = {**settings, "image_dir": str(images), "output_dir": str(out)}
    Bundle(bundle, overrides=overrides).run("inferring")
    report = json.loads((out / "run_report.json").read_text())
    entries = {entry["image"]: entry for entry in report["per_image"]}
    assert set(entries) == {case, f"both_{name}"}
    assert len(entries[case]["source"]) == 2
    suffix = ".png" if name.endswith(".ome.tif") else ".nii.gz"
    assert entries[case]["written_as"] == f"{case}{suffix}"
    assert entries[case]["foreground"] == entries[f"both_{name}"]["foreground"]
    next(images.glob("*_0001.*")).unlink()
    with pytest.raises(SystemExit):
        Bundle(bundle, overrides=overrides).run("inferring")
    report = json.loads((out / "run_report.json").read_text())
    (failed,) = report["failed"]
    assert failed["image"] == case
    assert f"{case}_0001" in failed["reason"]
    assert len(report["per_image"]) == 1


def test_every_case_that_lacks_a_channel_is_named(tmp_path, source, capsys):
    for name in ("c1_0001", "c4_0000"):
        next(source.glob(f"{name}.*")).unlink()
    assert new(tmp_path, source) == 1
    line = capsys.readouterr().err
    assert "2 of 6 cases lack a channel: c1 (T2), c4 (T1); expected NAME_0000.* (T1)" in line
    assert not (tmp_path / "mine").exists()


def test_images_of_no_channel_are_not_left_out_in_silence(tmp_path, source, dims, capsys):
    masks = tmp_path / "marks"
    masks.mkdir()
    for path in source.glob("*_seg*"):
        path.rename(masks / path.name)
    suffix = ".png" if dims == 2 else ".nii.gz"
    save(source / f"c0_0002{suffix}", made_case(dims, 0)[0])
    assert new(tmp_path, source, "--masks", str(masks)) == 1
    assert f"1 images of no channel, as c0_0002{suffix}" in capsys.readouterr().err
