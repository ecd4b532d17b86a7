"""Bundles of volumes with thick slices: planned, trained and inferred by axis."""

import json

import nibabel as nib
import numpy as np
import pytest
import yaml

from pipeline import cli
from pipeline.bundle import Bundle

FIVE_LEVELS = {"network_def#features": [2, 2, 2, 2, 2]}
NARROW = {
    "unet": FIVE_LEVELS,
    "unet3plus": FIVE_LEVELS | {"network_def#skip_channels": 2},
    "unetpp": FIVE_LEVELS,
    "unetpp_deep_supervision": FIVE_LEVELS,
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A bundle of volumes of 0.8 x 0.8 mm, with 8 slices of 5 mm, or 16 of 2.5 mm in two cases."""
    root = tmp_path_factory.mktemp("thick")
    for kind in ("images", "masks"):
        (root / kind).mkdir()
    rng = np.random.default_rng(0)
    for i in range(6):
        slices = 16 if i > 3 else 8
        mask = np.zeros((48, 48, slices), np.uint8)
        mask[10 + i : 30, 12:34, slices // 4 : -slices // 4] = 1
        image = mask * 100 + rng.normal(0, 10, mask.shape)
        affine = np.diag([0.8, 0.8, 40 / slices, 1])
        for kind, voxels in (("images", image.astype(np.float32)), ("masks", mask)):
            nib.save(nib.Nifti1Image(voxels, affine), root / kind / f"v{i}.nii.gz")
    folders = ["--images", str(root / "images"), "--masks", str(root / "masks")]
    assert cli.main(["new", str(root / "ct"), *folders]) == 0
    return root / "ct"


def run(bundle, run_id, overlays=(), **overrides):
    settings = {
        "tracking_dir": str(bundle.parent / "mlruns"),
        "max_epochs": 1,
        "val_interval": 1,
        "steps_per_epoch": 1,
        "threads": 1,
        "patch": [32, 32, 12],  # the window of MS-SSIM has 11 voxels
        "window": [48, 48, 8],
    }
    Bundle(bundle, overlays, {**settings, **overrides}).run(run_id)


def test_the_plan(bundle):
    text = (bundle / "configs" / "train.yaml").read_text()
    config = yaml.safe_load(text)
    # 8 slices are fewer than a third of 48 columns, so 5 mm give way to the 10th percentile
    spacing = next(t for t in config["image_preprocessing"] if t["_target_"] == "Spacingd")
    assert spacing["pixdim"] == [0.8, 0.8, 2.5]
    assert "across the thick" in text
    network = config["network_def"]
    assert network["strides"] == [[2, 2, 1], [2, 2, 2], [2, 2, 2]]
    assert network["kernels"] == [[3, 3, 1], [3, 3, 3], [3, 3, 3], [3, 3, 3]]
    assert "# 1 along an axis that is at least 2 times coarser" in text
    assert config["patch"][2] % 4 == 0
    assert config["turned_axes"] == [0, 1]
    fingerprint = json.loads((bundle / "data" / "check" / "fingerprint.json").read_text())
    assert fingerprint["spacing_mm"][2] == [2.5, 5.0, 5.0]
    assert fingerprint["extent_mm"][2] == [40.0, 40.0, 40.0]
    assert "of a median 48 x 48 x 16 image" in " ".join(text.replace("\n#", "").split())


@pytest.mark.parametrize("overlay", NARROW)
def test_every_overlay_keeps_the_strides_and_kernels(bundle, overlay):
    planned = yaml.safe_load((bundle / "configs" / "train.yaml").read_text())["network_def"]
    chosen = Bundle(bundle, [overlay])
    chosen.check("training")
    network = chosen.config("training")["network_def"]
    assert network["strides"] == [*planned["strides"], [2, 2, 2]]  # four poolings, the plan three
    assert network["kernels"] == [*planned["kernels"], [3, 3, 3]]
    shared = Bundle(bundle, [overlay]).overlays[0].read_text()
    assert "# as planned in train.yaml" in shared


@pytest.mark.parametrize("overlay", [None, "unet3plus", "unetpp_deep_supervision", "recipe/strong"])
def test_every_network_trains_and_answers_for_every_voxel(bundle, overlay, tmp_path):
    overlays = [overlay] if overlay else []
    own = {"models_dir": str(tmp_path / "models")}
    own |= NARROW.get(overlay, {"network_def#features": [2, 4, 4, 4]})
    run(bundle, "training", overlays, **own)
    images = bundle.parent / "images"
    run(bundle, "inferring", overlays, **own, image_dir=str(images), output_dir=str(tmp_path / "o"))
    for path in images.iterdir():
        image, mask = nib.load(path), nib.load(tmp_path / "o" / "mask" / path.name)
        assert mask.shape == image.shape
        np.testing.assert_allclose(mask.affine, image.affine, atol=1e-4)


def test_an_overlay_that_loses_the_strides_is_refused(bundle, tmp_path):
    overlay = tmp_path / "mine.yaml"
    network = "{_target_: pipeline.networks.UNetPlusPlus, spatial_dims: 3, in_channels: 1, "
    network += "out_channels: 1, features: [4, 4, 8, 8]"
    overlay.write_text(f"network_def: {network}}}\n")
    message = r"^network_def#strides: left out by an overlay, train.yaml has .*strides: null$"
    with pytest.raises(ValueError, match=message) as error:
        Bundle(bundle, [overlay]).check("training")
    assert "\n" not in str(error.value)
    overlay.write_text(f"network_def: {network}, strides: null, kernels: null}}\n")
    Bundle(bundle, [overlay]).check("training")
    overlay.write_text(
        "network_def: {_target_: monai.networks.nets.BasicUNet, spatial_dims: 3, in_channels: 1, "
        "out_channels: 1}\n"
    )
    Bundle(bundle, [overlay]).check("training")
