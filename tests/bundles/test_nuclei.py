"""The nuclei bundle on five real images: separation, weight map, and the scores of cells."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import label
from skimage.morphology import remove_small_objects

from pipeline import cli
from pipeline.data.compact import unpacked

SMALL = {"network_def#features": [4, 4, 8, 8, 8, 4], "patch": [64, 64], "window": [128, 128]}


@pytest.fixture(scope="module")
def cohort(real_data, tmp_path_factory):
    source, out = (tmp_path_factory.mktemp(name) for name in ("source", "nuclei"))
    paths = sorted((real_data / "dsb2018" / "images").glob("*.png"))[:5]
    for kind in ("images", "labels"):
        (source / kind).mkdir()
        for path in paths:
            shutil.copy(real_data / "dsb2018" / kind / path.name, source / kind)
    cohort = out / "cohort"
    arguments = ["--source", str(source), "--out", str(cohort)]
    assert cli.main(["data", "prepare", "nuclei", *arguments]) == 0
    return cohort


@pytest.fixture(scope="module")
def run(run_bundle, bundle, tmp_path_factory, cohort):
    root, folder = tmp_path_factory.mktemp("site"), bundle.parents[1] / "nuclei"

    def run(run_id, overlays=(), **overrides):
        settings = {"dataset_dir": str(cohort), **SMALL, **overrides}
        run_bundle(root, run_id, overlays, folder, **settings)
        return root

    run("training")
    return run


def test_an_evaluation_scores_instances(run, tmp_path):
    run("evaluating", output_dir=str(tmp_path), tta_versions=1)
    (row,) = csv.DictReader((tmp_path / "cases.csv").open())
    assert {"iou", "f1", "pq", "ap", "v_rand", "merges", "splits", "touching"} <= set(row)
    found = json.loads((tmp_path / "summary.json").read_text())
    assert found["test"]["f1"]["n"] == 1
    assert "touching" in (tmp_path / "report.html").read_text()


def test_inference_writes_masks_and_numbered_nuclei(run, cohort, tmp_path):
    images = {"image_dir": str(cohort / "images"), "output_dir": str(tmp_path)}
    run("inferring", tta_versions=1, threshold=0.6, **images)
    report = json.loads((tmp_path / "run_report.json").read_text())
    for row in report["per_image"]:
        mask = np.asarray(Image.open(tmp_path / "mask" / row["written_as"])) > 0
        instances = np.asarray(Image.open(tmp_path / "instances" / row["written_as"]))
        assert mask.shape == Image.open(cohort / "images" / row["image"]).size[::-1]
        assert instances.dtype == np.uint16
        seeds = remove_small_objects(label(mask)[0], max_size=24)
        assert row["instances"] == instances.max() == len(np.unique(seeds[seeds > 0]))
        assert (instances[seeds > 0] > 0).all()


@pytest.mark.parametrize(("border", "w0"), [(0, 0.0), (2, 0.0), (2, 10.0)])
def test_what_the_network_learns_from(bundle, cohort, border, w0):
    from monai.bundle import ConfigWorkflow

    workflow = ConfigWorkflow(
        str(bundle.parents[1] / "nuclei" / "configs" / "train.yaml"),
        workflow_type="train", dataset_dir=str(cohort), border=border, w0=w0, **SMALL,
    )  # fmt: skip
    workflow.initialize()
    dataset = workflow.parser.get_parsed_content("train#dataset")
    first = dataset[0]
    assert first["image"].shape == (3, 64, 64)
    assert first["label"].shape == first["weight"].shape == (1, 64, 64)
    assert set(np.unique(first["label"])) <= {0, 1}
    assert "instances" not in first
    balanced = len(np.unique(np.round(unpacked(dataset._cache[0])["weight"], 4))) <= 2
    assert balanced == (w0 == 0)
