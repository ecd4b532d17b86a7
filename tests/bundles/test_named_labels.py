"""Labels that a user names: regions that overlap, large numbers, and what is ignored."""

import json

import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigParser
from PIL import Image

from pipeline import cli
from pipeline.bundle import Bundle
from pipeline.data import read_datalist
from tests.bundles.kinds import PATCHES, SMALL


def region_masks(i):
    """A box of 17 with a smaller one of 1035 in it."""
    mask = np.zeros((48, 48), np.uint16)
    mask[8 + i : 40, 8:40] = 17
    mask[16:30, 16 : 30 + i] = 1035
    return mask


def ignoring_masks(i):
    """Two small boxes, and a wide stripe that nobody labelled."""
    mask = np.zeros((400, 400), np.uint8)
    mask[40:60, 40 + i : 60 + i], mask[100:120, 100:120] = 1, 2
    mask[300:] = 255
    return mask


COHORTS = {
    "regions": (region_masks, ["background=0", "whole=17,1035", "core=1035"]),
    "ignoring": (ignoring_masks, ["one=1", "two=2", "ignore=255"]),
}


def write_images(root, masks):
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for i in range(6):
        mask = masks(i)
        image = np.clip(60 * (mask > 0) + rng.normal(90, 15, mask.shape), 0, 255)
        Image.fromarray(image.astype(np.uint8)).save(root / "images" / f"c{i}.png")
        Image.fromarray(mask).save(root / "masks" / f"c{i}.png")


def new(root, bundle, *labels):
    folders = ["--images", str(root / "images"), "--masks", str(root / "masks")]
    return cli.main(["new", str(bundle), *folders, "--labels", *labels])


def plan_bundle(name, root):
    masks, labels = COHORTS[name]
    write_images(root, masks)
    assert new(root, root / name, *labels) == 0
    places = {"models_dir": str(root / "models"), "tracking_dir": str(root / "mlruns")}
    return root / name, {**places, **SMALL, **PATCHES[2]}


@pytest.fixture(scope="module", params=COHORTS)
def planned(request, tmp_path_factory):
    return plan_bundle(request.param, tmp_path_factory.mktemp(request.param))


def knobs(bundle):
    return yaml.safe_load((bundle / "configs" / "train.yaml").read_text())


def test_datalist_config_and_metadata_say_what_was_named(planned):
    bundle, _ = planned
    datalist, config = read_datalist(bundle / "data"), knobs(bundle)
    classes = json.loads((bundle / "configs" / "metadata.json").read_text())["label_classes"]
    assert datalist.labels == config["labels"]
    assert list(datalist.labels) == list(config["labels"])
    if bundle.name == "regions":
        assert config["labels"] == {"whole": [17, 1035], "core": 1035}
        assert "ignore" not in config
        assert classes == "0 background, 17|1035 whole (region), 1035 core"
    else:
        assert (datalist.ignore, config["ignore"]) == (255, 255)
        assert classes == "0 background, 1 one, 2 two, 255 ignored"
    assert cli.main(["data", "check", str(bundle / "data")]) == 0


def test_it_trains_evaluates_explains_and_infers(planned, tmp_path):
    bundle, settings = planned
    Bundle(bundle, overrides=settings).run("training")
    out = {run: str(tmp_path / run) for run in ("evaluating", "explaining", "inferring")}
    explaining = {"case_settings#occlusion#size": 30, "latent_settings#clusters": 2}
    if bundle.name == "ignoring":  # smaller regions would take a pass each
        explaining |= {"case_settings#occlusion#size": 200}
    Bundle(bundle, overrides={**settings, "output_dir": out["evaluating"]}).run("evaluating")
    Bundle(bundle, overrides={**settings, **explaining, "output_dir": out["explaining"]}).run(
        "explaining"
    )
    images = {"output_dir": out["inferring"], "image_dir": str(bundle.parent / "images")}
    Bundle(bundle, overrides={**settings, **images, "threshold": 0.0}).run("inferring")
    summary = json.loads((tmp_path / "evaluating" / "summary.json").read_text())
    names = {"dice_whole", "dice_core"} if bundle.name == "regions" else {"dice_one", "dice_two"}
    assert names <= set(summary["test"])
    mask = np.asarray(Image.open(tmp_path / "inferring" / "mask" / "c0.png"))
    if bundle.name == "regions":  # at threshold 0 all is whole and core: the later one is painted
        assert set(np.unique(mask)) == {1035}
    else:
        assert set(np.unique(mask)) <= {1, 2}


@pytest.mark.slow
@pytest.mark.parametrize("overlay", ["unetpp", "unet3plus"])
def test_overlays_ignore_too(planned, overlay, tmp_path):
    bundle, settings = planned
    levels = {"network_def#features": [2, 2, 2, 2, 2], "models_dir": str(tmp_path)}
    more = {"network_def#skip_channels": 2} if overlay == "unet3plus" else {}
    Bundle(bundle, [overlay], {**settings, **levels, **more}).run("training")
    assert (tmp_path / "model.pt").is_file()


def test_patches_are_not_drawn_around_what_is_ignored(tmp_path):
    bundle, _ = plan_bundle("ignoring", tmp_path)
    parser = ConfigParser(ConfigParser.load_config_file(bundle / "configs" / "train.yaml"))
    parser["dataset_dir"] = str(bundle / "data")
    item = parser.get_parsed_content("validate#preprocessing")(
        read_datalist(bundle / "data").entries("training")[0].files()
    )
    label, inside = torch.as_tensor(item["label"]), torch.as_tensor(item["inside"])
    assert set(label.unique().tolist()) == {-1, 0, 1}
    assert torch.equal(inside[0] > 0, (label > 0).any(0))
    assert int(inside.sum()) == 2 * 20 * 20
