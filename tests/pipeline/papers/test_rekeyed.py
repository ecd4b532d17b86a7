"""Why the records of the first layout are still valid under their new keys.

A record is keyed by hashes of its configs. The configs were written anew (one wiring, knobs for the
network's dimensions), so that every hash changed; the experiments did not. ``before.json`` holds,
for each record, a hash of what its training and evaluation did by the configs of commit 67b21aa:
knobs, network, loss, optimiser, schedule, transforms, sampler, what was selected. The same is read
here from today's configs. (That a training gives bit-equal weights was measured for each bundle.)
Experiments that were changed on purpose since are left out; their records are made again.

Since then a bundle contains its preprocessing: it takes files of any size and number format. The
records were made on images of 8 bits and of the network's size. On these today's preprocessing does
what the recorded one did, bit for bit: a test says so for each bundle.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from PIL import Image

from pipeline.papers.configs import config_hashes, evaluation_overlay, experiment_bundle
from pipeline.papers.paper import read_paper
from tests.conftest import ROOT
from tests.pipeline.papers.expected import EXPECTED_STALE

BEFORE = json.loads(Path(__file__).with_name("before.json").read_text())
KNOBS = (
    "max_epochs", "steps_per_epoch", "batch_size", "patch", "window", "learning_rate",
    "val_interval", "key_metric", "patience", "seed", "border", "w0", "sigma", "margin", "deformed",
)  # fmt: skip
PARTS = ("loss", "optimizer", "lr_scheduler", "window_inferer", "label_preprocessing")
SELECTED = ("threshold", "threshold_metric", "tta_versions", "choose_postprocessing")
RECORDED_PREPROCESSING = [
    {
        "_target_": "LoadImaged",
        "keys": "@keys",
        "reader": {"_target_": "pipeline.data.readers.PageReader"},
        "ensure_channel_first": True,
    },
    {"_target_": "transforms.GreyImaged", "keys": "image", "maximum": "@intensity_max"},
    {"_target_": "NormalizeIntensityd", "keys": "image"},
]
"""What every recorded experiment did to an image of 8 bits: nothing, and mean 0, deviation 1."""
DIMENSIONS = {"@spatial_dims": "spatial_dims", "@in_channels": "in_channels"}


def experiment(training: dict, evaluating: dict) -> str:
    """Hash what a training and its evaluation do."""
    network = {
        key: training[DIMENSIONS[value]] if str(value) in DIMENSIONS else value
        for key, value in training["network_def"].items()
    }
    network["out_channels"] = len(training["labels"])
    content = {
        **{key: training.get(key) for key in (*KNOBS, *PARTS)},
        "intensity_max": 255,
        "network_def": network,
        "image_preprocessing": RECORDED_PREPROCESSING,
        "target_preprocessing": training["target_preprocessing"],
        "augmentation": training["augmentation"],
        "sampler": training["train"]["sampler"],
        "handlers": training["train"]["handlers"],
        "selected": {key: evaluating.get(key) for key in SELECTED},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@pytest.mark.parametrize("name", BEFORE)
def test_an_experiment_is_what_it_was_when_it_was_recorded(name):
    paper_name, experiment_name, scale = name.split("/")
    paper = read_paper(paper_name)
    bundle = experiment_bundle(ROOT, paper, paper.experiment(experiment_name), scale)
    evaluating = bundle.config("evaluating", evaluation_overlay(ROOT, paper))
    assert experiment(bundle.config("training"), evaluating) == BEFORE[name]


@pytest.mark.parametrize("name", BEFORE)
def test_an_image_of_the_records_is_preprocessed_as_it_was(name, tmp_path):
    paper_name, experiment_name, scale = name.split("/")
    paper = read_paper(paper_name)
    bundle = experiment_bundle(ROOT, paper, paper.experiment(experiment_name), scale)
    config = bundle.config("training")
    side = config.get("size", [512, 512])[0]
    pixels = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    preprocessing = ConfigParser(config).get_parsed_content("image_preprocessing")
    item = {"image": str(tmp_path / "a.png")}
    for transform in preprocessing:
        item = transform(item)
    values = torch.tensor(pixels, dtype=torch.float32)[None]
    recorded = (values - values.mean()) / values.std(unbiased=False)
    assert torch.equal(item["image"].as_tensor(), recorded)


def test_every_record_is_of_its_config():
    stale = set()
    for path in sorted((ROOT / "docs" / "results").glob("*/**/*.json")):
        record = json.loads(path.read_text())
        paper = read_paper(record["paper"])
        asked = paper.experiment(record["experiment"])
        hashes = config_hashes(ROOT, paper, asked, record["scale"], record["settings"])
        if {key: record[key] for key in hashes} != hashes:
            stale.add(f"{record['paper']}/{record['experiment']}")
    assert stale == EXPECTED_STALE
